#pragma once

#include <cstdint>
#include <string>

#include "runtime/graph/graph.h"

namespace safelight {

// Attention over a sequence that grows: queries at the places [position, position + T) see the keys up to
// their own, and those within the first `unmasked` places see all of these (minGPT as in taming).
struct causal_view {
    int64_t queries, keys;      // keys: room for them; only those up to the last query's are looked at
    int64_t unmasked = 0;       // a prefix that sees all of itself
    tensor position = nullptr;  // I32 [1], or null for a sequence from its start
    tensor rows = nullptr;      // I32 [queries]: the places themselves; null as position is
    tensor mask = nullptr;      // the same as 0 and -inf [queries, keys], where stock operations compute
};

// Of a whole sequence.
causal_view causal(model_ref m, int64_t length, int64_t unmasked);
// Of `queries` places from the one on that the caller gives as the input `position` [1], at most `capacity`
// in all: the graph is the same for every position.
causal_view causal_from(model_ref m, const std::string & position, int64_t queries, int64_t capacity,
                        int64_t unmasked);

// [B, T, C] written to its places in the module's state m.NAME [B, capacity, C], which keeps the earlier
// ones: [B, capacity, C].
tensor cached(model_ref m, const std::string & name, tensor x, const causal_view & view);

// q [B, T, C], k and v [B, keys, C] -> [B, T, C]
tensor causal_attention(model_ref m, tensor q, tensor k, tensor v, int64_t heads, const causal_view & view);

}  // namespace safelight
