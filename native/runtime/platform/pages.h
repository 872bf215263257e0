#pragma once

#include <cstddef>

namespace safelight {

// Returns zeroed pages from the system; null if there is not enough memory.
void * map_pages(size_t bytes);

// Frees what `map_pages` returned, all of it.
void unmap_pages(void * pages, size_t bytes);

// Asks the system to use huge pages for a large range of memory that has not been written to yet: matrices
// span many pages, and each small one needs an entry in the processor's translation cache. Does nothing on
// macOS and on Windows, where huge pages require a privilege.
void prefer_huge_pages(void * from, size_t bytes);

// Returns the whole pages in a range of mapped pages to the system. The range stays mapped, but its contents
// are undefined until they are written again.
void discard_pages(void * from, size_t bytes);

// Returns freed memory to the system. glibc retains freed memory in per-thread arenas; because each module
// allocates on its own new thread, a process would otherwise retain several times what it needs. Does nothing
// elsewhere.
void return_freed_memory();

}  // namespace safelight
