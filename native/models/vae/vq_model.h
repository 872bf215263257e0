#pragma once

#include <cstdint>
#include <memory>

#include "models/vae/codec.h"
#include "runtime/graph/graph.h"

namespace safelight {

// The autoencoder with a codebook (VQGAN, Esser et al. 2021; latent diffusion's VQ-regularized models;
// diffusers' VQModel). Between encoder and decoder each pixel of the latent becomes the nearest of `codes`
// learnt vectors, or, of the Gumbel kind (Jang et al. 2017), the one whose logit is largest.
struct vq_model_params {
    codec_params codec;
    int64_t embed_dim;  // width of a code, and of latents outside the codec
    int64_t codes;
    bool gumbel;
};

// Entries:
//   encode: image [B, C, H, W] -> latent [B, E, h, w], not yet quantized
//   quantize: latent -> indices i32 [B, h, w], quantized [B, E, h, w] and, of a codebook by distance,
//     distance [B, h, w] (squared, from the code chosen); with the parameter `distances` to all: distances
//     [B, h, w, N]. Of the Gumbel kind it takes `mask` [N], which is added to the logits, and with the
//     parameter `logits` gives them: [B, N, h, w].
//   lookup: indices i32 [B, h, w] -> quantized
//   decode: latent (quantized first with the parameter `quantize`) or indices -> image
std::unique_ptr<architecture> make_vq_model(const config & cfg);

}  // namespace safelight
