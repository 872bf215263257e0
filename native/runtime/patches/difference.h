#pragma once

#include "runtime/patches/patch_factors.h"

namespace safelight {

// A weight or a part of it as a matrix: rows, and columns of `kernel` values each.
struct matrix_size {
    int64_t rows, columns, kernel;

    int64_t width() const { return columns * kernel; }
    int64_t count() const { return rows * width(); }
};

// Returns the difference that an additive patch makes, [rows, columns, kernel], without its scale:
//
// - low_rank: up · down (Hu et al. 2021, arXiv:2106.09685); sum_mn up[o,m] mid[m,n,k] down[n,i] with a core
// - hadamard: (w1_a · w1_b) ⊙ (w2_a · w2_b), with or without cores (Hyeon-Woo et al. 2022, arXiv:2108.06098)
// - kronecker: w1 ⊗ w2, each whole or factored (Yeh et al. 2024, arXiv:2309.14859)
// - full: the stored difference
//
// Throws ADAPTER_MISMATCH for factors that do not give this size.
std::vector<float> difference_of(const patch_factors & factors, const matrix_size & size);

// Adds scale · difference to w. A plain low-rank change is added in one pass, without the difference in
// memory.
void add_difference_to(std::vector<float> & w, const patch_factors & factors, const matrix_size & size,
                       float scale);

}  // namespace safelight
