#pragma once

#include <cstdint>

#include "nn/norm.h"
#include "runtime/graph/graph.h"

namespace safelight {

// Blocks that the U-Net and the autoencoder share, named as in diffusers' resnet.py.

// GroupNorm, SiLU and a 3x3 convolution twice, around them a residual (through a 1x1 convolution where the
// number of channels changes); between them the time embedding is added to each channel. x [B, Cin, H, W],
// emb [B, E], SiLU already applied, or null -> [B, Cout, H, W].
tensor resnet_block(model_ref m, tensor x, tensor emb, int64_t channels, group_norm_options norm);

// Where a residual block also changes the size: both of its branches are averaged over 2x2 pixels, or
// repeated to the given size, between the first norm and the first convolution.
struct resampling {
    enum { none, halve, enlarge } kind = none;
    int64_t height = 0, width = 0;  // to enlarge to
};

struct resnet_options {
    group_norm_options norm;
    // The time embedding scales and shifts each channel after the second norm (Dhariwal & Nichol 2021)
    // instead of being added before it.
    bool scale_shift = false;
    float output_scale = 1;  // the sum is divided by it
    resampling resample = {};
};
tensor resnet_block(model_ref m, tensor x, tensor emb, int64_t channels, const resnet_options & o);

struct attention_block_options {
    int64_t heads;
    group_norm_options norm;  // 0 groups: none
    float output_scale = 1;
};
// Every pixel of a map attends to every other, around it a residual (the attention block of Ho et al. 2020,
// diffusers' AttnDownBlock2D and CompVis' AttentionBlock). [B, C, H, W] -> [B, C, H, W].
tensor attention_block(model_ref m, tensor x, const attention_block_options & o);

// Nearest neighbour to the given size, then a 3x3 convolution.
tensor upsample(model_ref m, tensor x, int64_t height, int64_t width);

// The end of every decoder: GroupNorm, SiLU, 3x3 convolution, by the names conv_norm_out and conv_out.
tensor convolution_out(model_ref m, tensor x, int64_t channels, group_norm_options norm);

}  // namespace safelight
