#pragma once

#include <cstdint>
#include <memory>

#include "models/vae/codec.h"
#include "runtime/graph/graph.h"

namespace safelight {

// VQ autoencoder (VQGAN, Esser et al. 2021; VQ-regularized models of latent diffusion; diffusers' VQModel).
// Between encoder and decoder each pixel of the latent is replaced by the nearest vector of a codebook or,
// with a Gumbel quantizer (Jang et al. 2017), by the vector with the largest logit.
struct vq_model_params {
    codec_params codec;
    int64_t embed_dim;  // width of the codebook's vectors and of latents
    int64_t codes;      // size of the codebook
    bool gumbel;
};

// Entries:
//   encode: image [B, C, H, W] -> latent [B, E, h, w], not quantized
//   quantize: latent -> indices i32 [B, h, w], quantized [B, E, h, w]. With a nearest-vector quantizer also
//     distance [B, h, w] (squared, to the chosen vector) and, with the parameter `distances`, distances
//     [B, h, w, N] to all vectors. A Gumbel quantizer accepts `mask` [N], which is added to the logits, and
//     with the parameter `logits` returns logits [B, N, h, w].
//   lookup: indices i32 [B, h, w] -> quantized
//   decode: indices, or latent (quantized first with the parameter `quantize`) -> image
std::unique_ptr<architecture> make_vq_model(const config & cfg);

}  // namespace safelight
