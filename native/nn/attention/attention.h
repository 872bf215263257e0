#pragma once

#include <cstdint>
#include <string>

#include "runtime/graph/graph.h"

namespace safelight {

// softmax(q·kᵀ / √d)·v by heads of d = C / heads channels (Vaswani et al. 2017): q [B, Tq, C], k and v [B,
// Tk, C] -> [B, Tq, C]. `mask` [Tq, Tk] f32, added to the scores, or null. The probabilities can be tapped as
// m.probs [B, heads, Tq, Tk]; unless they are, scores are computed some 128 MiB at a time.
tensor attention(model_ref m, tensor q, tensor k, tensor v, int64_t heads, tensor mask = nullptr);

// softmax(q·kᵀ + bias)·v by heads, without a scale, as T5 has it: q, k, v [B, T, C], bias [heads, T, T] or
// null. `keys` (a key_mask, or null) hides places. The probabilities can be tapped as m.probs. All scores
// exist at once.
tensor biased_attention(model_ref m, tensor q, tensor k, tensor v, int64_t heads, tensor bias, tensor keys);

// Hides the places of `input` [B, T] (i32, given by the caller) that are 0: [B, 1, 1, T], added to scores. A
// number other than 0 and 1 fails the run.
tensor key_mask(model_ref m, const std::string & input, const shape & dims);

// The mask that hides from each of `length` positions those that come after it: [length, length] of 0 and
// -inf.
tensor causal_mask(model_ref m, int64_t length);

}  // namespace safelight
