#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace safelight {

// An existing file that is written at any offsets, from any threads. Throws FILE_NOT_WRITTEN.
class output_file {
  public:
    explicit output_file(const std::string & path);
    ~output_file();
    output_file(const output_file &) = delete;
    output_file & operator=(const output_file &) = delete;

    void write(const std::byte * bytes, size_t count, uint64_t at) const;

  private:
    std::string path_;
    intptr_t file_;  // descriptor or HANDLE
};

}  // namespace safelight
