#pragma once

#include <cstdint>
#include <memory>

#include "runtime/graph/graph.h"

namespace safelight {

// The transformer of Taming Transformers (Esser et al. 2021) that writes pictures as sequences of codes:
// minGPT, a GPT-2 with exact GELU and a head of its own. Parameters are named as in taming's GPT.
struct latent_transformer_params {
    int64_t vocabulary, block, layers, heads, width, unmasked;
};

latent_transformer_params read_latent_transformer_params(const config & cfg);

std::unique_ptr<architecture> make_latent_transformer(const config & cfg);

}  // namespace safelight
