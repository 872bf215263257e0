#pragma once

#include <memory>

#include "runtime/graph/graph.h"

namespace safelight {

// Tiny autoencoder (TAESD, TAESDXL, TAESD3, TAEF1, TAEF2 by Ollin Boer Bohan; diffusers' AutoencoderTiny),
// which maps between images and the latents of a diffusion model's sampler. Encoder and decoder are
// sequences of layers, and either may be absent. Entries:
//   encode: image [B, 3, H, W] in [-1, 1] -> latent [B, Z, h, w]
//   decode: latent [B, Z, h, w] -> image
std::unique_ptr<architecture> make_tiny_autoencoder(const config & cfg);

}  // namespace safelight
