#pragma once

#include <cstdint>

#include "runtime/graph/graph.h"

namespace safelight {

// Attention between channels (XCiT: El-Nouby et al. 2021), whose cost is linear in the number of tokens: the
// channels of a head attend to each other by the cosine of their values over all tokens, multiplied by
// `temperature` [heads]. Packed qkv [B, T, 3C] -> [B, T, C].
tensor channel_attention(model_ref m, tensor qkv, int64_t heads, tensor temperature);

}  // namespace safelight
