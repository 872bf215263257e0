#include "runtime/platform/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "runtime/error.h"
#include "runtime/platform/posix/unmap.h"

namespace safelight {

namespace {

struct descriptor {
    int fd;
    explicit descriptor(int f) : fd(f) {}
    ~descriptor() {
        if (fd >= 0) {
            close(fd);
        }
    }
    descriptor(const descriptor &) = delete;
    descriptor & operator=(const descriptor &) = delete;
};

}  // namespace

mapped_file::mapped_file(const std::string & path) {
    descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    struct stat status = {};
    if (file.fd < 0 || fstat(file.fd, &status) != 0) {
        throw error("FILE_NOT_FOUND", "Cannot read " + path + ": " + std::strerror(errno));
    }
    if (!S_ISREG(status.st_mode)) {
        throw error("INVALID_FILE", path + " is not a regular file");
    }
    size_ = static_cast<uint64_t>(status.st_size);
#ifdef __APPLE__
    const timespec & time = status.st_mtimespec;
#else
    const timespec & time = status.st_mtim;
#endif
    modified_ = int64_t(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
    if (size_ == 0) {
        return;
    }
    void * mapping = mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.fd, 0);
    if (mapping == MAP_FAILED) {
        throw error("FILE_NOT_FOUND", "Cannot map " + path + ": " + std::strerror(errno));
    }
    data_ = static_cast<const std::byte *>(mapping);
}

mapped_file::mapped_file(mapped_file && other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      modified_(other.modified_) {}

mapped_file::~mapped_file() {
    if (data_ != nullptr) {
        unmap(const_cast<std::byte *>(data_), size_);
    }
}

void mapped_file::discard_pages(uint64_t offset, uint64_t length) const {
    auto page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
    uint64_t begin = (offset + page - 1) / page * page, end = (offset + length) / page * page;
    if (begin < end) {
        // madvise is only a hint; its failure is harmless.
        static_cast<void>(madvise(const_cast<std::byte *>(data_) + begin, end - begin, MADV_DONTNEED));
    }
}

}  // namespace safelight
