#pragma once

#include <cstdint>

#include "runtime/graph/graph.h"

namespace safelight {

// Attention within the windows of a map of tokens (Swin: Liu et al. 2021). A shift moves the map cyclically
// up and to the left first; tokens that were not neighbors before the shift do not attend to each other.
struct window_grid {
    int64_t height, width;  // of the map, multiples of the window's
    int64_t rows, columns;  // of a window
    int64_t shift_y = 0, shift_x = 0;

    int64_t tokens() const { return rows * columns; }  // per window
    int64_t windows() const { return height / rows * (width / columns); }
    bool shifted() const { return shift_y != 0 || shift_x != 0; }
};

// Tensors that depend only on the grid and are shared by all layers that use it.
struct windows {
    window_grid grid;
    tensor order, inverse;  // I32 [B·H·W]: tokens of the windows in the map, and of the map in the windows
    tensor mask;         // [windows, 1, tokens, tokens] of 0 and -100, added to scores; null without a shift
    tensor differences;  // I32 [tokens·tokens]: row of window_bias' table for each query and key
};
windows windows_of(model_ref m, int64_t batch, const window_grid & grid);

// Divides a map into windows, and the inverse: [B, H·W, C] <-> [B·windows, tokens, C].
tensor window_partition(model_ref m, tensor x, const windows & w);
tensor window_merge(model_ref m, tensor x, const windows & w);

// Returns the bias of attention scores [heads, tokens, tokens] from a table [(2·rows - 1)·(2·columns - 1),
// heads] of the differences of positions.
tensor window_bias(model_ref m, tensor table, const windows & w);

// Multi-head attention softmax(q·kᵀ / √d + bias + mask)·v within windows: qkv [B·windows, tokens, 3C] of
// queries, keys and values -> [B·windows, tokens, C], with the mask of w.
tensor window_attention(model_ref m, tensor qkv, int64_t heads, tensor bias, const windows & w);

}  // namespace safelight
