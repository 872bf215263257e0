#include "runtime/platform/pages.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "runtime/platform/posix/unmap.h"

namespace safelight {

void * map_pages(size_t bytes) {
    void * pages = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return pages == MAP_FAILED ? nullptr : pages;
}

void unmap_pages(void * pages, size_t bytes) {
    unmap(pages, bytes);
}

void prefer_huge_pages(void * from, size_t bytes) {
#ifdef MADV_HUGEPAGE
    constexpr uintptr_t huge = uintptr_t{2} << 20;
    const auto address = reinterpret_cast<uintptr_t>(from);
    const uintptr_t begin = (address + huge - 1) / huge * huge, end = (address + bytes) / huge * huge;
    if (begin < end) {
        static_cast<void>(madvise(reinterpret_cast<void *>(begin), end - begin, MADV_HUGEPAGE));
    }
#else
    static_cast<void>(from);
    static_cast<void>(bytes);
#endif
}

void discard_pages(void * from, size_t bytes) {
    const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
    const auto address = reinterpret_cast<uintptr_t>(from);
    const uintptr_t begin = (address + page - 1) / page * page, end = (address + bytes) / page * page;
    if (begin < end) {
        static_cast<void>(madvise(reinterpret_cast<void *>(begin), end - begin, MADV_DONTNEED));
    }
}

void return_freed_memory() {
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

}  // namespace safelight
