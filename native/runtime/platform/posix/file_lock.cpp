#include "runtime/platform/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "runtime/error.h"

namespace safelight {

namespace {

lock_state try_lock(int descriptor) {
    int result = 0;
    do {
        result = flock(descriptor, LOCK_EX | LOCK_NB);
    } while (result != 0 && errno == EINTR);
    if (result != 0) {
        return errno == EWOULDBLOCK ? lock_state::busy : lock_state::unsupported;
    }
    // If the previous owner removed the file, the lock is on an unlinked file that other processes do not
    // see.
    struct stat status = {};
    return fstat(descriptor, &status) == 0 && status.st_nlink > 0 ? lock_state::locked : lock_state::busy;
}

}  // namespace

file_lock::file_lock(const std::string & path, uint64_t)
    : file_(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0664)) {
    if (file_ < 0) {
        throw error("FILE_NOT_WRITTEN", "Cannot open " + path + ": " + std::strerror(errno));
    }
    state_ = try_lock(static_cast<int>(file_));
    if (state_ != lock_state::locked) {
        release();
    }
}

file_lock::~file_lock() {
    release();
}

void file_lock::release() {
    if (file_ >= 0) {
        close(static_cast<int>(file_));
    }
    file_ = -1;
}

}  // namespace safelight
