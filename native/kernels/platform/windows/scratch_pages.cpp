#include "kernels/platform/scratch_pages.h"

#define WIN32_LEAN_AND_MEAN
#include <windows.h>

namespace safelight::kernels {

void * map_scratch(size_t bytes) {
    return VirtualAlloc(nullptr, bytes, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
}

void unmap_scratch(void * pages, size_t) {
    VirtualFree(pages, 0, MEM_RELEASE);
}

}  // namespace safelight::kernels
