#pragma once

#include <cstddef>

namespace safelight::kernels {

// Memory of this thread for panels and tiles, 64-byte aligned, kept until the thread ends; grows to what was
// asked for most. Throws std::bad_alloc.
float * scratch(size_t floats);

// Bytes that all threads' scratch takes at present.
size_t scratch_bytes();

}  // namespace safelight::kernels
