#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace safelight {

// Returns the bytes that can be allocated now without swapping, within the limit of a container; 0 if the
// system does not report it.
uint64_t available_memory();

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

// Asks the system to use huge pages for a large range of memory that has not been written to yet: matrices
// span many pages, and each small one needs an entry in the processor's translation cache.
void prefer_huge_pages(void * from, size_t bytes);

// Returns the whole pages in a range of system memory to the system. Reading them gives zeros.
void discard_pages(void * from, size_t bytes);

// Unmaps memory after discarding its pages 4 MiB at a time. Unmapping gigabytes at once blocks other threads
// that allocate for up to a third of a second.
void unmap(void * pages, size_t bytes);

// Returns freed memory to the system. glibc retains freed memory in per-thread arenas; because each module
// allocates on its own new thread, a process would otherwise retain several times what it needs.
void return_freed_memory();

// Throws OUT_OF_MEMORY. `purpose` is the subject of the message, such as "The run".
[[noreturn]] void out_of_memory(uint64_t bytes, const std::string & purpose);

}  // namespace safelight
