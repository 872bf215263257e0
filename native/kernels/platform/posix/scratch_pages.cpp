#include "kernels/platform/scratch_pages.h"

#include <sys/mman.h>

namespace safelight::kernels {

void * map_scratch(size_t bytes) {
    void * pages = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) return nullptr;
#ifdef MADV_HUGEPAGE
    static_cast<void>(madvise(pages, bytes, MADV_HUGEPAGE));
#endif
    return pages;
}

void unmap_scratch(void * pages, size_t bytes) {
    munmap(pages, bytes);
}

}  // namespace safelight::kernels
