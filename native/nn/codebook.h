#pragma once

#include <cstdint>

#include "runtime/graph/graph.h"

namespace safelight {

// A table of `codes` vectors, m.weight [codes, width], and sequences [B, T, width] in its terms (van den Oord
// et al. 2017; VQGAN's VectorQuantizer2). The table is always kept in f32: which code is nearest must not
// depend on storage.

// The nearest code of each vector by |z|² + |e|² - 2 z·e, of equal ones the first: i32, B·T of them.
tensor nearest_codes(model_ref m, tensor x, int64_t codes);
// All those distances: [B, T, codes].
tensor code_distances(model_ref m, tensor x, int64_t codes);
// The vectors of indices, B·T of them in i32: [B, T, width].
tensor code_vectors(model_ref m, tensor indices, int64_t codes, int64_t width, int64_t batch);

// Where the largest of each vector's numbers is, of equal ones the first: [B, T, N] -> i32, B·T of them.
tensor largest_of(model_ref m, tensor x);
// The squared distance of each vector of x from that of y: [B, T, C] -> [B, T].
tensor squared_distances(model_ref m, tensor x, tensor y);

}  // namespace safelight
