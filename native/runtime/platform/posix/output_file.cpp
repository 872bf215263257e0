#include "runtime/platform/output_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "runtime/error.h"

namespace safelight {

namespace {

[[noreturn]] void fail(const std::string & path) {
    throw error("FILE_NOT_WRITTEN", "Cannot write " + path + ": " + std::strerror(errno));
}

}  // namespace

output_file::output_file(const std::string & path)
    : path_(path), file_(open(path.c_str(), O_WRONLY | O_CLOEXEC)) {
    if (file_ < 0) {
        fail(path);
    }
}

output_file::~output_file() {
    close(static_cast<int>(file_));
}

void output_file::write(const std::byte * bytes, size_t count, uint64_t at) const {
    for (size_t done = 0; done < count;) {
        ssize_t n =
            pwrite(static_cast<int>(file_), bytes + done, count - done, static_cast<off_t>(at + done));
        if (n < 0 && errno != EINTR) {
            fail(path_);
        }
        done += n > 0 ? static_cast<size_t>(n) : 0;
    }
}

}  // namespace safelight
