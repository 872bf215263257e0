#include "runtime/weights/output_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "runtime/error.h"

namespace safelight {

output_file::output_file(const std::string & path)
    : path_(path), fd_(open(path.c_str(), O_WRONLY | O_CLOEXEC)) {
    if (fd_ < 0) {
        fail();
    }
}

output_file::~output_file() {
    if (fd_ >= 0) {
        close(fd_);
    }
}

void output_file::write(const std::byte * bytes, size_t count, uint64_t at) const {
    for (size_t done = 0; done < count;) {
        ssize_t n = pwrite(fd_, bytes + done, count - done, static_cast<off_t>(at + done));
        if (n < 0 && errno != EINTR) {
            fail();
        }
        done += n > 0 ? static_cast<size_t>(n) : 0;
    }
}

void output_file::fail() const {
    throw error("FILE_NOT_WRITTEN", "Cannot write " + path_ + ": " + std::strerror(errno));
}

}  // namespace safelight
