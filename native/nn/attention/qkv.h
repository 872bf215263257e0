#pragma once

#include <cstdint>

#include "runtime/graph/graph.h"

namespace safelight {

// Queries, keys and values of one attention layer: [B, Tq, width], [B, Tk, width], [B, Tk, width].
struct qkv {
    tensor q, k, v;
};

// The names of the three linear layers below the attention's own, and whether they add a bias: each model
// follows its reference.
struct qkv_layers {
    const char * q;
    const char * k;
    const char * v;
    bool bias = true;
};

// One of them, readable under its own name: x [B, T, C] -> [B, T, width], by m.weight and m.bias.
tensor projection(model_ref m, tensor x, int64_t width, bool bias);

// Queries of x, keys and values of `context` (x itself in self-attention).
qkv project_qkv(model_ref m, tensor x, tensor context, int64_t width, const qkv_layers & layers);

}  // namespace safelight
