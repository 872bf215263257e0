#include "kernels/scratch.h"

#include <new>

#if defined(_WIN32)
#include <malloc.h>
#else
#include <sys/mman.h>
#endif

namespace safelight::kernels {

namespace {

// Pages of the system rather than malloc's: they are gone when the thread is, where malloc would keep
// megabytes in the arena of each thread that there ever was.
void * take(size_t bytes) {
#if defined(_WIN32)
    return _aligned_malloc(bytes, 64);
#else
    void * pages = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return pages == MAP_FAILED ? nullptr : pages;
#endif
}

void give_back(void * pages, size_t bytes) {
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
        if (data) give_back(data, bytes);
        data = nullptr;
        bytes = 0;
    }
    ~buffer() { release(); }
};

thread_local buffer own;

}  // namespace

float * scratch(size_t floats) {
    constexpr size_t page = 4096;
    const size_t bytes = (floats * sizeof(float) + page - 1) / page * page;
    if (own.bytes < bytes) {
        own.release();
        own.data = static_cast<float *>(take(bytes));
        if (!own.data) throw std::bad_alloc();
        own.bytes = bytes;
    }
    return own.data;
}

}  // namespace safelight::kernels
