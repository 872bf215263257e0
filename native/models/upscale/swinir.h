#pragma once

#include <memory>

#include "runtime/graph/graph.h"

namespace safelight {

// SwinIR (Liang et al. 2021): residual groups of Swin transformer blocks between convolutions.
//
// Config: in_channels, out_channels, embed_dim, depths and num_heads (per group), window_size, mlp_dim,
// qkv_bias, img_range, three_convs (before skip connections), unshuffle, and those of read_reconstruction.
// Entry `upscale`: image [B, in_channels, H, W] -> image [B, out_channels, H·s, W·s]. H and W are multiples
// of window_size·unshuffle.
std::unique_ptr<architecture> make_swinir(const config & cfg);

}  // namespace safelight
