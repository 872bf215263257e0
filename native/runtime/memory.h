#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace safelight {

// Bytes that can be allocated now without swapping, also under a container's limit; 0 where the system does
// not say.
uint64_t available_memory();

// Throws OUT_OF_MEMORY where `bytes` are more than `available` (0: unknown, never throws). Linux hands out
// memory that it does not have and kills the process later, so the question comes first.
void require_memory(uint64_t bytes, uint64_t available, const std::string & purpose);

// Zeroed memory straight from the system, given back when it ends. malloc keeps what threads freed, up to 64
// MB in the arena of each.
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

// Ends a mapping whose pages were given back before, some megabytes at a time: while the system frees pages
// at one go, other threads that ask it for memory wait, for gigabytes a third of a second.
void unmap(void * pages, size_t bytes);

// Gives freed memory back to the system. glibc keeps what threads freed for their like; a module's buffers
// come on a new thread each time, so that several times the need would stay.
void return_freed_memory();

[[noreturn]] void out_of_memory(uint64_t bytes, const std::string & purpose);

}  // namespace safelight
