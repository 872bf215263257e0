#pragma once

#include <cstdint>

#include "nn/norm.h"
#include "runtime/graph.h"

namespace safelight {

// Blocks that the U-Net and the autoencoder share, named as in diffusers' resnet.py.

// GroupNorm, SiLU and a 3x3 convolution twice, around them a residual (through a 1x1 convolution where the
// number of channels changes); between them the time embedding is added to each channel. x [B, Cin, H, W],
// emb [B, E], SiLU already applied, or null -> [B, Cout, H, W].
tensor resnet_block(model_ref m, tensor x, tensor emb, int64_t channels, group_norm_options norm);

// Nearest neighbour to the given size, then a 3x3 convolution.
tensor upsample(model_ref m, tensor x, int64_t height, int64_t width);

// The end of every decoder: GroupNorm, SiLU, 3x3 convolution, by the names conv_norm_out and conv_out.
tensor convolution_out(model_ref m, tensor x, int64_t channels, group_norm_options norm);

}  // namespace safelight
