#pragma once

#include <cstdint>
#include <memory>

#include "models/vae/codec.h"
#include "runtime/graph/graph.h"

namespace safelight {

// KL autoencoder of latent diffusion (Rombach et al. 2022; diffusers' AutoencoderKL). Entries:
//   encode: image [B, 3, H, W] in [-1, 1] -> moments [B, 2Z, h, w] (means, then log variances) of a Gaussian
//   decode: latent [B, Z, h, w] -> image
struct autoencoder_kl_params {
    codec_params codec;
    int64_t latent_channels;
    bool quant_conv, post_quant_conv;
};

autoencoder_kl_params read_autoencoder_kl_params(const config & cfg);

std::unique_ptr<architecture> make_autoencoder_kl(const config & cfg);

}  // namespace safelight
