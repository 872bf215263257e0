#pragma once

#include "models/checks.h"
#include "runtime/graph/graph.h"

namespace safelight {

// Textual inversion (Gal et al. 2022, arXiv:2208.01618): vectors that take the place of token embeddings, in
// the optional inputs `vectors` [B, T, C] and `vector_mask` [B, T], which is 1 where a vector is used and 0
// elsewhere.

// Throws INVALID_OPTION for one input without the other, SHAPE_MISMATCH.
void check_token_vectors(const input_shapes & inputs, int64_t width);

// Returns x·(1 - mask) + vectors·mask for token embeddings x [B, T, C]; x itself without these inputs.
tensor with_token_vectors(model_ref m, tensor x, const input_shapes & inputs);

}  // namespace safelight
