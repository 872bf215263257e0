#pragma once

#include <cstddef>

namespace safelight::kernels {

// Returns this thread's scratch memory for panels and tiles, 64-byte aligned. It grows to the largest size
// requested and is freed when the thread ends. Throws std::bad_alloc.
float * scratch(size_t floats);

}  // namespace safelight::kernels
