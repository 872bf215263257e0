#pragma once

#include <cstdint>
#include <vector>

#include "models/checks.h"
#include "nn/norm.h"
#include "runtime/graph/graph.h"

namespace safelight {

// The convolutional encoder and decoder that the autoencoders of latent diffusion and VQGAN share (Esser et
// al. 2021, Rombach et al. 2022; diffusers' vae.py). They differ in what lies between the two.
struct codec_params {
    int64_t in_channels, out_channels;     // of pictures
    int64_t encoded_channels, z_channels;  // out of the encoder, into the decoder
    std::vector<int64_t> channels;         // a level, finest first
    std::vector<bool> down_attention;      // a level of the encoder, finest first: after each residual block
    std::vector<bool> up_attention;        // of the decoder, coarsest first
    int64_t layers;                        // residual blocks a level of the encoder; the decoder has one more
    group_norm_options norm;
    bool mid_attention;
};

// What both kinds of config say alike; `encoded_channels` and `z_channels` are left to the caller.
codec_params read_codec_params(const config & cfg);

// Pixels of a picture for one number of the latent, on a side: 2^(levels - 1).
int64_t codec_downsample_factor(const codec_params & p);

// [B, in_channels, H, W] -> [B, encoded_channels, H / factor, W / factor], sides rounded down.
tensor encoder(model_ref m, tensor x, const codec_params & p);
// [B, z_channels, h, w] -> [B, out_channels, h · factor, w · factor]
tensor decoder(model_ref m, tensor x, const codec_params & p);

// The only input `image` [B, in_channels, H, W] of an encoding. SHAPE_MISMATCH, INVALID_OPTION.
const shape & check_picture(const input_shapes & inputs, const codec_params & p);
// INVALID_OPTION where decoding `batch` latents of h x w makes a layer too large to count.
void require_decodable(int64_t batch, int64_t height, int64_t width, const codec_params & p);

}  // namespace safelight
