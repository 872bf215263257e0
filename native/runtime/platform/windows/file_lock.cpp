#include "runtime/platform/file_lock.h"

#include "runtime/error.h"
#include "runtime/platform/windows/system.h"

namespace safelight {

namespace {

HANDLE handle_of(intptr_t file) {
    return reinterpret_cast<HANDLE>(file);
}

lock_state try_lock(HANDLE file, uint64_t byte) {
    OVERLAPPED place = {};
    place.Offset = static_cast<DWORD>(byte);
    place.OffsetHigh = static_cast<DWORD>(byte >> 32);
    if (LockFileEx(file, LOCKFILE_EXCLUSIVE_LOCK | LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &place)) {
        return lock_state::locked;
    }
    const DWORD failure = GetLastError();
    return failure == ERROR_LOCK_VIOLATION || failure == ERROR_IO_PENDING ? lock_state::busy
                                                                          : lock_state::unsupported;
}

}  // namespace

file_lock::file_lock(const std::string & path, uint64_t byte) {
    // Without FILE_SHARE_DELETE: nobody can remove the file while it is locked.
    HANDLE file =
        open_file(path, GENERIC_READ | GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_WRITE, OPEN_ALWAYS, false);
    if (file == INVALID_HANDLE_VALUE) {
        const DWORD failure = GetLastError();
        if (failure == ERROR_SHARING_VIOLATION || failure == ERROR_DELETE_PENDING) {
            return;  // busy
        }
        throw error("FILE_NOT_WRITTEN", "Cannot open " + path + ": " + error_message(failure));
    }
    file_ = reinterpret_cast<intptr_t>(file);
    state_ = try_lock(file, byte);
    if (state_ != lock_state::locked) {
        release();
    }
}

file_lock::~file_lock() {
    release();
}

void file_lock::release() {
    if (file_ != -1) {
        CloseHandle(handle_of(file_));  // also unlocks
    }
    file_ = -1;
}

}  // namespace safelight
