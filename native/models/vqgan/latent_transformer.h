#pragma once

#include <cstdint>
#include <memory>

#include "runtime/graph/graph.h"

namespace safelight {

// Latent transformer of Taming Transformers (Esser et al. 2021), which generates images as sequences of code
// indices: minGPT, a GPT-2 with exact GELU and an untied output head. Parameters are named as in taming's
// GPT.
struct latent_transformer_params {
    int64_t vocabulary, block, layers, heads, width, unmasked;
};

latent_transformer_params read_latent_transformer_params(const config & cfg);

std::unique_ptr<architecture> make_latent_transformer(const config & cfg);

}  // namespace safelight
