#pragma once

#ifndef NOMINMAX
#define NOMINMAX
#endif
#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#include <windows.h>

#include <string>

namespace safelight {

// Returns the absolute path in UTF-16 with the prefix that lifts the limit of 260 characters: \\?\C:\a for
// C:/a and a relative path, \\?\UNC\server\share for \\server\share. Paths with a prefix are not changed.
// Empty for text that is not UTF-8.
std::wstring system_path(const std::string & path);

// Returns the message of a system error, such as "The system cannot find the file specified (Windows error
// 2)".
std::string error_message(DWORD code);

// Opens a file with CreateFileW. A file that another program holds open without sharing, as virus scanners do
// for a moment after it was written, is tried again for about a second if `wait` is true.
// INVALID_HANDLE_VALUE on failure; GetLastError tells the reason.
HANDLE open_file(const std::string & path, DWORD access, DWORD share, DWORD creation, bool wait);

}  // namespace safelight
