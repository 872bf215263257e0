#pragma once

#include <cstdint>

#include "nn/attention/window.h"
#include "runtime/graph/graph.h"

namespace safelight {

constexpr float dat_norm_eps = 1e-5f;  // PyTorch's default

struct dat_block_params {
    int64_t width, heads, mlp_width;
    bool qkv_bias;
};

// The map of tokens of a DAT, and its windows. Half of the channels is divided into windows, the other half
// into windows with rows and columns exchanged.
struct dat_map {
    int64_t height, width;                // of the map
    int64_t padded_height, padded_width;  // multiples of both sides of a window
    windows plain[2], shifted[2];         // of each half
};

// Blocks with window attention and with channel attention, followed by the spatial-gate feed-forward network:
// [B, T, C] -> [B, T, C].
tensor dat_spatial_block(model_ref m, tensor x, const dat_map & map, bool shifted,
                         const dat_block_params & p);
tensor dat_channel_block(model_ref m, tensor x, const dat_map & map, const dat_block_params & p);

}  // namespace safelight
