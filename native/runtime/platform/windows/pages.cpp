#include "runtime/platform/pages.h"

#include <cstdint>

#include "runtime/platform/windows/system.h"

namespace safelight {

void * map_pages(size_t bytes) {
    return VirtualAlloc(nullptr, bytes, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
}

void unmap_pages(void * pages, size_t) {
    VirtualFree(pages, 0, MEM_RELEASE);
}

void prefer_huge_pages(void *, size_t) {}

void discard_pages(void * from, size_t bytes) {
    constexpr uintptr_t page = 4096;  // of x64 and arm64
    const auto address = reinterpret_cast<uintptr_t>(from);
    const uintptr_t begin = (address + page - 1) / page * page, end = (address + bytes) / page * page;
    if (begin < end) {
        auto * first = reinterpret_cast<void *>(begin);
        // The pages stay committed, so that writing to them later cannot fail.
        if (VirtualAlloc(first, end - begin, MEM_RESET, PAGE_READWRITE) != nullptr) {
            static_cast<void>(
                VirtualUnlock(first, end - begin));  // out of the working set, now and not later
        }
    }
}

void return_freed_memory() {}

}  // namespace safelight
