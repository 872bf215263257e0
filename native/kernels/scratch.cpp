#include "kernels/scratch.h"

#include <new>

#if defined(_WIN32)
#include <malloc.h>
#else
#include <sys/mman.h>
#endif

namespace safelight::kernels {

namespace {

// Maps pages directly from the system: they are freed with the thread, whereas malloc would retain megabytes
// in the arena of every thread that ever ran.
void * allocate_pages(size_t bytes) {
#if defined(_WIN32)
    return _aligned_malloc(bytes, 64);
#else
    void * pages = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) return nullptr;
#ifdef MADV_HUGEPAGE
    static_cast<void>(madvise(pages, bytes, MADV_HUGEPAGE));
#endif
    return pages;
#endif
}

void free_pages(void * pages, size_t bytes) {
#if defined(_WIN32)
    static_cast<void>(bytes);
    _aligned_free(pages);
#else
    munmap(pages, bytes);
#endif
}

struct buffer {
    float * data = nullptr;
    size_t bytes = 0;

    void release() {
        if (data) free_pages(data, bytes);
        data = nullptr;
        bytes = 0;
    }
    ~buffer() { release(); }
};

thread_local buffer thread_buffer;

}  // namespace

float * scratch(size_t floats) {
    constexpr size_t page = 4096;
    const size_t bytes = (floats * sizeof(float) + page - 1) / page * page;
    if (thread_buffer.bytes < bytes) {
        thread_buffer.release();
        thread_buffer.data = static_cast<float *>(allocate_pages(bytes));
        if (!thread_buffer.data) throw std::bad_alloc();
        thread_buffer.bytes = bytes;
    }
    return thread_buffer.data;
}

}  // namespace safelight::kernels
