#pragma once

#include <cstdint>
#include <string>

#include "runtime/graph/graph.h"

namespace safelight {

// Causal attention over a growing sequence: queries at positions [position, position + T) attend to the keys
// up to their own position. Positions within the first `unmasked` attend to all of those (minGPT as in
// taming).
struct causal_view {
    int64_t queries, keys;      // `keys` is the capacity; keys after the last query are not read
    int64_t unmasked = 0;       // length of a prefix without causal mask
    tensor position = nullptr;  // I32 [1]: position of the first query; null for a whole sequence
    tensor rows = nullptr;      // I32 [queries]: positions of all queries; null for a whole sequence
    tensor mask = nullptr;      // [queries, keys] of 0 and -inf; null if our kernel computes the attention
};

// Returns the view of a whole sequence.
causal_view causal(model_ref m, int64_t length, int64_t unmasked);
// Returns the view of `queries` positions that begin at the value of the I32 input named `position` [1], in a
// sequence of at most `capacity`. The graph is the same for every position.
causal_view causal_from(model_ref m, const std::string & position, int64_t queries, int64_t capacity,
                        int64_t unmasked);

// Writes x [B, T, C] to its positions in the session's state m.NAME (a KV cache) and returns the whole state,
// [B, capacity, C].
tensor cached(model_ref m, const std::string & name, tensor x, const causal_view & view);

// q [B, T, C], k and v [B, keys, C] -> [B, T, C]
tensor causal_attention(model_ref m, tensor q, tensor k, tensor v, int64_t heads, const causal_view & view);

}  // namespace safelight
