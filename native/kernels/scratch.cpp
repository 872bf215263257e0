#include "kernels/scratch.h"

#include <atomic>
#include <cstdlib>
#include <new>

namespace safelight::kernels {

namespace {

std::atomic<size_t> total{0};

struct buffer {
    float * data = nullptr;
    size_t size = 0;

    void release() {
        std::free(data);
        total -= size * sizeof(float);
        data = nullptr;
        size = 0;
    }
    ~buffer() { release(); }
};

thread_local buffer own;

}  // namespace

float * scratch(size_t floats) {
    floats = (floats + 15) & ~size_t{15};
    if (own.size < floats) {
        own.release();
        own.data = static_cast<float *>(std::aligned_alloc(64, floats * sizeof(float)));
        if (!own.data) throw std::bad_alloc();
        own.size = floats;
        total += floats * sizeof(float);
    }
    return own.data;
}

size_t scratch_bytes() {
    return total.load();
}

}  // namespace safelight::kernels
