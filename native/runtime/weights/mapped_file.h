#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace safelight {

// A file mapped for reading. A file that another process shortens meanwhile ends this one with SIGBUS: model
// files are replaced by renaming, never rewritten.
class mapped_file {
  public:
    explicit mapped_file(const std::string & path);  // throws FILE_NOT_FOUND or INVALID_FILE
    ~mapped_file();
    mapped_file(mapped_file && other) noexcept;
    mapped_file(const mapped_file &) = delete;
    mapped_file & operator=(const mapped_file &) = delete;

    const std::byte * data() const { return data_; }
    uint64_t size() const { return size_; }
    // Takes bytes out of this process's memory; reading them again brings them back.
    void let_go(uint64_t offset, uint64_t length) const;

  private:
    const std::byte * data_ = nullptr;
    uint64_t size_ = 0;
};

}  // namespace safelight
