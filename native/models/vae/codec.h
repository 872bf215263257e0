#pragma once

#include <cstdint>
#include <vector>

#include "models/checks.h"
#include "nn/norm.h"
#include "runtime/graph/graph.h"

namespace safelight {

// Convolutional encoder and decoder shared by the autoencoders of latent diffusion and VQGAN (Esser et al.
// 2021, Rombach et al. 2022; diffusers' vae.py), which differ only in the layers between the two.
struct codec_params {
    int64_t in_channels, out_channels;     // of images
    int64_t encoded_channels, z_channels;  // output of the encoder, input of the decoder
    std::vector<int64_t> channels;         // per level, finest first
    std::vector<bool> down_attention;  // per level of the encoder, finest first: after each residual block
    std::vector<bool> up_attention;    // per level of the decoder, coarsest first
    int64_t layers;  // residual blocks per level of the encoder; the decoder has one more per level
    group_norm_options norm;
    bool mid_attention;
};

// Reads the fields common to both kinds of autoencoder; the caller sets `encoded_channels` and `z_channels`.
codec_params read_codec_params(const config & cfg);

// Returns the ratio of an image's side length to that of its latent: 2^(levels - 1).
int64_t codec_downsample_factor(const codec_params & p);

// [B, in_channels, H, W] -> [B, encoded_channels, H / f, W / f] with the downsample factor f, rounded down.
tensor encoder(model_ref m, tensor x, const codec_params & p);
// [B, z_channels, h, w] -> [B, out_channels, h · f, w · f]
tensor decoder(model_ref m, tensor x, const codec_params & p);

// 1x1 convolution between a codec and its latents (quant_conv, post_quant_conv, a Gumbel quantizer's proj),
// in f32 in any precision.
tensor latent_projection(model_ref m, tensor x, int64_t channels);

// Checks that `image` [B, in_channels, H, W] is the only input and returns its shape. Throws SHAPE_MISMATCH
// or INVALID_OPTION.
const shape & check_image(const input_shapes & inputs, const codec_params & p);
// Throws INVALID_OPTION if decoding `batch` latents of h x w needs an activation of 2^31 or more elements.
void require_decodable(int64_t batch, int64_t height, int64_t width, const codec_params & p);

}  // namespace safelight
