#include "runtime/platform/output_file.h"

#include <algorithm>

#include "runtime/error.h"
#include "runtime/platform/windows/system.h"

namespace safelight {

namespace {

[[noreturn]] void fail(const std::string & path) {
    throw error("FILE_NOT_WRITTEN", "Cannot write " + path + ": " + error_message(GetLastError()));
}

HANDLE handle_of(intptr_t file) {
    return reinterpret_cast<HANDLE>(file);
}

}  // namespace

output_file::output_file(const std::string & path)
    : path_(path),
      file_(reinterpret_cast<intptr_t>(open_file(path, GENERIC_WRITE,
                                                 FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE,
                                                 OPEN_EXISTING, true))) {
    if (handle_of(file_) == INVALID_HANDLE_VALUE) {
        fail(path);
    }
}

output_file::~output_file() {
    CloseHandle(handle_of(file_));
}

void output_file::write(const std::byte * bytes, size_t count, uint64_t at) const {
    constexpr size_t most = size_t{1} << 30;
    for (size_t done = 0; done < count;) {
        OVERLAPPED place = {};
        place.Offset = static_cast<DWORD>(at + done);
        place.OffsetHigh = static_cast<DWORD>((at + done) >> 32);
        DWORD written = 0;
        const auto wanted = static_cast<DWORD>(std::min(count - done, most));
        if (!WriteFile(handle_of(file_), bytes + done, wanted, &written, &place)) {
            fail(path_);
        }
        done += written;
    }
}

}  // namespace safelight
