#pragma once

#include "runtime/patches/difference.h"

namespace safelight {

// Rotates the rows of w [rows, width] in place by R = (I + Q)(I - Q)^-1, where Q = B - B^T for blocks B:
//
// - rotate: blocks [n, b, b] of n·b rows, w[k,m] = sum_n (s(R - I) + I)[k,n,m] w[k,n] (OFT: Qiu et al. 2023,
//   arXiv:2306.07280; LyCORIS DiagOFTModule); `rotations` are blocks of R itself
// - butterfly: blocks [m, n, b, b], m stages, between which rows are permuted (BOFT: Liu et al. 2024,
//   arXiv:2311.06243; LyCORIS ButterflyOFTModule)
//
// Then multiplies rows by `rescale`, if the patch has one.
void rotate_rows(const patch_factors & factors, std::vector<float> & w, const matrix_size & size);

}  // namespace safelight
