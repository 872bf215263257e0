#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "runtime/platform/memory_limits.h"
#include "runtime/platform/pages.h"

namespace safelight {

// Throws OUT_OF_MEMORY if `bytes` exceeds `available` (0 means unknown and never throws). Linux overcommits
// memory and kills the process later, so check before each large allocation.
void require_memory(uint64_t bytes, uint64_t available, const std::string & purpose);

// Zeroed memory mapped directly from the system and unmapped by the destructor. malloc would retain freed
// memory, up to 64 MB in each thread's arena.
class system_memory {
  public:
    system_memory() = default;
    explicit system_memory(size_t bytes);  // throws std::bad_alloc
    ~system_memory();
    system_memory(system_memory && other) noexcept;
    system_memory & operator=(system_memory && other) noexcept;

    void * data() const { return data_; }
    size_t size() const { return size_; }

  private:
    void * data_ = nullptr;
    size_t size_ = 0;
};

// Throws OUT_OF_MEMORY. `purpose` is the subject of the message, such as "The run".
[[noreturn]] void out_of_memory(uint64_t bytes, const std::string & purpose);

}  // namespace safelight
