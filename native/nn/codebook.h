#pragma once

#include <cstdint>

#include "runtime/graph/graph.h"

namespace safelight {

// Vector quantization with a codebook m.weight [codes, width] (van den Oord et al. 2017; VQGAN's
// VectorQuantizer2). The codebook is always stored in f32, so that the nearest code does not depend on the
// storage type.

// Returns the index of the nearest code of each vector by |z|² + |e|² - 2 z·e; the first one of equal
// distances. [B, T, width] -> i32 [B·T].
tensor nearest_codes(model_ref m, tensor x, int64_t codes);
// Returns the squared distances to all codes: [B, T, width] -> [B, T, codes].
tensor code_distances(model_ref m, tensor x, int64_t codes);
// Returns the codebook vectors of B·T i32 indices: [B, T, width].
tensor code_vectors(model_ref m, tensor indices, int64_t codes, int64_t width, int64_t batch);

// Argmax over the last dimension; the first one of equal values. [B, T, N] -> i32 [B·T].
tensor argmax(model_ref m, tensor x);
// Returns the squared distances between the vectors of x and y: [B, T, C] -> [B, T].
tensor squared_distances(model_ref m, tensor x, tensor y);

}  // namespace safelight
