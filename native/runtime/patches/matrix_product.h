#pragma once

#include <cstdint>

namespace safelight {

// y [rows, columns] = a [rows, depth] · b [columns, depth]^T, all f32 and contiguous, on the calling thread.
// Defined in nn/matrix_product.cpp, by the CPU kernels.
void matrix_product(const float * a, const float * b, float * y, int64_t rows, int64_t columns,
                    int64_t depth);
// The same, added to y.
void add_matrix_product(const float * a, const float * b, float * y, int64_t rows, int64_t columns,
                        int64_t depth);

}  // namespace safelight
