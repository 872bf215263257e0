#pragma once

#include <cstddef>

namespace safelight::kernels {

// Memory of this thread for panels and tiles, 64-byte aligned, kept until the thread ends; grows to what was
// asked for most. Throws std::bad_alloc.
float * scratch(size_t floats);

}  // namespace safelight::kernels
