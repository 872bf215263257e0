#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "nn/norm.h"
#include "runtime/graph.h"

namespace safelight {

// The KL autoencoder of latent diffusion (Rombach et al. 2022), diffusers' AutoencoderKL: pictures [B, 3, H,
// W] in [-1, 1] to the moments of a Gaussian over latents (means, then log variances), and latents to
// pictures.
struct autoencoder_kl_params {
    int64_t in_channels, out_channels, latent_channels;
    std::vector<int64_t> channels;  // a level, finest first
    int64_t layers;                 // residual blocks a level of the encoder; the decoder has one more
    group_norm_options norm;
    bool mid_attention, quant_conv, post_quant_conv;
};

autoencoder_kl_params read_autoencoder_kl_params(const config & cfg);

std::unique_ptr<architecture> make_autoencoder_kl(const config & cfg);

}  // namespace safelight
