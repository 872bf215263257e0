#pragma once

#include <cstdint>

#include "nn/norm.h"
#include "runtime/graph/graph.h"

namespace safelight {

// Blocks shared by the U-Net and the autoencoders, named as in diffusers' resnet.py.

// Residual block: GroupNorm, SiLU and a 3x3 convolution, twice, plus a skip connection (a 1x1 convolution if
// the number of channels changes). The time embedding is added to each channel between the two convolutions.
// x [B, Cin, H, W], emb [B, E] after SiLU, or null -> [B, Cout, H, W].
tensor resnet_block(model_ref m, tensor x, tensor emb, int64_t channels, group_norm_options norm);

// Resampling in a residual block, applied to both paths: averaging over 2x2 pixels, or nearest-neighbor
// upsampling to the given size. In the main path it is between the first norm and the first convolution.
struct resampling {
    enum { none, halve, enlarge } kind = none;
    int64_t height = 0, width = 0;  // target size of `enlarge`
};

struct resnet_options {
    group_norm_options norm;
    // The time embedding scales and shifts each channel after the second norm (Dhariwal & Nichol 2021)
    // instead of being added before it.
    bool scale_shift = false;
    float output_scale = 1;  // divides the sum of both paths
    resampling resample = {};
};
tensor resnet_block(model_ref m, tensor x, tensor emb, int64_t channels, const resnet_options & o);

struct attention_block_options {
    int64_t heads;
    group_norm_options norm;  // 0 groups disables the norm
    float output_scale = 1;
};
// Self-attention over all pixels of a map with a skip connection (Ho et al. 2020; diffusers' AttnDownBlock2D,
// CompVis' AttentionBlock). [B, C, H, W] -> [B, C, H, W].
tensor attention_block(model_ref m, tensor x, const attention_block_options & o);

// Nearest-neighbor upsampling to the given size, then a 3x3 convolution.
tensor upsample(model_ref m, tensor x, int64_t height, int64_t width);

// Input layer of the U-Net and the codecs: a 3x3 convolution (conv_in), in f32 in any precision.
tensor convolution_in(model_ref m, tensor x, int64_t channels);

// Output layers of the U-Net and the codecs, in f32 in any precision: GroupNorm (conv_norm_out), SiLU, 3x3
// convolution (conv_out).
tensor convolution_out(model_ref m, tensor x, int64_t channels, group_norm_options norm);

}  // namespace safelight
