#pragma once

#include <cstdint>
#include <string>

#include "runtime/graph/graph.h"

namespace safelight {

// Multi-head attention softmax(q·kᵀ / √d)·v with d = C / heads (Vaswani et al. 2017): q [B, Tq, C], k and v
// [B, Tk, C] -> [B, Tq, C]. `mask` [Tq, Tk], f32 or null, is added to the scores. The probabilities can be
// tapped as m.probs [B, heads, Tq, Tk]; otherwise at most about 128 MiB of scores exist at a time.
tensor attention(model_ref m, tensor q, tensor k, tensor v, int64_t heads, tensor mask = nullptr);

// Returns the probabilities of attention(): [B, heads, Tq, Tk].
tensor attention_probabilities(model_ref m, tensor q, tensor k, int64_t heads);

// Unscaled multi-head attention softmax(q·kᵀ + bias)·v of T5: q, k, v [B, T, C], bias [heads, T, T] or null.
// `keys` is a key_mask or null. The probabilities can be tapped as m.probs. All scores exist at the same
// time.
tensor biased_attention(model_ref m, tensor q, tensor k, tensor v, int64_t heads, tensor bias, tensor keys);

// Returns a mask [B, 1, 1, T], to be added to scores, that hides the positions where the I32 input named
// `input` [B, T] is 0. A value other than 0 and 1 fails the run with INVALID_OPTION.
tensor key_mask(model_ref m, const std::string & input, const shape & dims);

// Returns the mask that hides later positions from each position: [length, length] of 0 and -inf.
tensor causal_mask(model_ref m, int64_t length);

}  // namespace safelight
