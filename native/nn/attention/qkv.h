#pragma once

#include <cstdint>

#include "runtime/graph/graph.h"

namespace safelight {

// Queries, keys and values of one attention layer: [B, Tq, width], [B, Tk, width], [B, Tk, width].
struct qkv {
    tensor q, k, v;
};

// Names of the three linear layers relative to the attention's prefix, which follow each model's reference,
// and whether they have a bias.
struct qkv_layers {
    const char * q;
    const char * k;
    const char * v;
    bool bias = true;
};

// One of the three projections, named so that it can be tapped: x [B, T, C] -> [B, T, width]. Weights
// m.weight and m.bias.
tensor projection(model_ref m, tensor x, int64_t width, bool bias);

// Projects x to queries and `context` (x itself in self-attention) to keys and values.
qkv project_qkv(model_ref m, tensor x, tensor context, int64_t width, const qkv_layers & layers);

// Returns part `index` (0 queries, 1 keys, 2 values) of packed qkv [B, T, 3C], as a view [B, heads, T, d].
tensor packed_part(model_ref m, tensor qkv, int64_t heads, int64_t index);

}  // namespace safelight
