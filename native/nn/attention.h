#pragma once

#include <cstdint>

#include "runtime/graph/graph.h"

namespace safelight {

// softmax(q·kᵀ / √d)·v by heads of d = C / heads channels (Vaswani et al. 2017): q [B, Tq, C], k and v [B,
// Tk, C] -> [B, Tq, C]. `mask` [Tq, Tk] f32, added to the scores, or null. The probabilities can be tapped as
// m.probs [B, heads, Tq, Tk]; unless they are, scores are computed some 128 MiB at a time.
tensor attention(model_ref m, tensor q, tensor k, tensor v, int64_t heads, tensor mask = nullptr);

// The mask that hides from each of `length` positions those that come after it: [length, length] of 0 and
// -inf.
tensor causal_mask(model_ref m, int64_t length);

}  // namespace safelight
