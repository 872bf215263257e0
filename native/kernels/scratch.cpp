#include "kernels/scratch.h"

#include <new>

#include "kernels/platform/scratch_pages.h"

namespace safelight::kernels {

namespace {

struct buffer {
    float * data = nullptr;
    size_t bytes = 0;

    void release() {
        if (data) unmap_scratch(data, bytes);
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
        thread_buffer.data = static_cast<float *>(map_scratch(bytes));
        if (!thread_buffer.data) throw std::bad_alloc();
        thread_buffer.bytes = bytes;
    }
    return thread_buffer.data;
}

}  // namespace safelight::kernels
