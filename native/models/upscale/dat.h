#pragma once

#include <memory>

#include "runtime/graph/graph.h"

namespace safelight {

// DAT, the Dual Aggregation Transformer (Chen et al. 2023): blocks that attend alternately within windows of
// the map and between channels, each next to a depthwise convolution with which it interacts.
//
// Config: in_channels, out_channels, embed_dim, depths and num_heads (per group), split_size (rows and
// columns of the windows), mlp_dim, qkv_bias, img_range, three_convs (before skip connections), and those of
// read_reconstruction. Entry `upscale`: image [B, in_channels, H, W] -> image [B, out_channels, H·s, W·s].
std::unique_ptr<architecture> make_dat(const config & cfg);

}  // namespace safelight
