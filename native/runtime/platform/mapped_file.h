#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace safelight {

// A file mapped into memory for reading. If another process truncates the file while it is mapped, SIGBUS
// ends this process. Replace model files by renaming; do not rewrite them in place. Windows refuses to
// truncate or replace a mapped file.
class mapped_file {
  public:
    explicit mapped_file(const std::string & path);  // throws FILE_NOT_FOUND or INVALID_FILE
    ~mapped_file();
    mapped_file(mapped_file && other) noexcept;
    mapped_file(const mapped_file &) = delete;
    mapped_file & operator=(const mapped_file &) = delete;

    const std::byte * data() const { return data_; }
    uint64_t size() const { return size_; }
    int64_t modified() const { return modified_; }  // nanoseconds since 1970
    // Drops the pages of a byte range from this process's memory. Reading them again loads them from the
    // file.
    void discard_pages(uint64_t offset, uint64_t length) const;

  private:
    const std::byte * data_ = nullptr;
    uint64_t size_ = 0;
    int64_t modified_ = 0;
};

}  // namespace safelight
