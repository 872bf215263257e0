#include "runtime/platform/windows/system.h"

#include <algorithm>

namespace safelight {

namespace {

std::string to_utf8(const wchar_t * text, int length) {
    int size = WideCharToMultiByte(CP_UTF8, 0, text, length, nullptr, 0, nullptr, nullptr);
    std::string out(static_cast<size_t>(std::max(size, 0)), '\0');
    WideCharToMultiByte(CP_UTF8, 0, text, length, out.data(), size, nullptr, nullptr);
    return out;
}

std::wstring to_utf16(const std::string & text) {
    const int length = static_cast<int>(text.size());
    int size = MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text.data(), length, nullptr, 0);
    std::wstring out(static_cast<size_t>(std::max(size, 0)), L'\0');
    MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text.data(), length, out.data(), size);
    return out;
}

// Resolves relative paths, paths relative to a drive (C:a), forward slashes and dots.
std::wstring absolute(const std::wstring & path) {
    std::wstring out(MAX_PATH, L'\0');
    for (;;) {
        const auto capacity = static_cast<DWORD>(out.size());
        DWORD length = GetFullPathNameW(path.c_str(), capacity, out.data(), nullptr);
        out.resize(length);  // without the terminating zero if it fit, else with it
        if (length < capacity) {
            return out;
        }
    }
}

}  // namespace

std::wstring system_path(const std::string & path) {
    const std::wstring wide = to_utf16(path);
    if (wide.empty() || wide.rfind(L"\\\\?\\", 0) == 0) {
        return wide;
    }
    const std::wstring full = absolute(wide);
    if (full.rfind(L"\\\\.\\", 0) == 0 || full.rfind(L"\\\\?\\", 0) == 0) {
        return full;  // a device such as NUL
    }
    return full.rfind(L"\\\\", 0) == 0 ? L"\\\\?\\UNC\\" + full.substr(2) : L"\\\\?\\" + full;
}

std::string error_message(DWORD code) {
    wchar_t text[512];
    DWORD length = FormatMessageW(FORMAT_MESSAGE_FROM_SYSTEM | FORMAT_MESSAGE_IGNORE_INSERTS, nullptr, code,
                                  0, text, static_cast<DWORD>(std::size(text)), nullptr);
    while (length > 0 && (text[length - 1] <= L' ' || text[length - 1] == L'.')) {
        length--;
    }
    const std::string number = "Windows error " + std::to_string(code);
    return length == 0 ? number : to_utf8(text, static_cast<int>(length)) + " (" + number + ")";
}

HANDLE open_file(const std::string & path, DWORD access, DWORD share, DWORD creation, bool wait) {
    const std::wstring name = system_path(path);
    if (name.empty()) {
        SetLastError(ERROR_INVALID_NAME);
        return INVALID_HANDLE_VALUE;
    }
    for (DWORD pause = 10, waited = 0;; waited += pause, pause *= 2) {
        // FILE_FLAG_BACKUP_SEMANTICS also opens folders, so that the error names them.
        HANDLE file =
            CreateFileW(name.c_str(), access, share, nullptr, creation, FILE_FLAG_BACKUP_SEMANTICS, nullptr);
        const DWORD failure = GetLastError();
        const bool scanned = failure == ERROR_SHARING_VIOLATION || failure == ERROR_LOCK_VIOLATION;
        if (file != INVALID_HANDLE_VALUE || !wait || !scanned || waited > 1000) {
            SetLastError(failure);
            return file;
        }
        Sleep(pause);
    }
}

}  // namespace safelight
