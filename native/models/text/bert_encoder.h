#pragma once

#include <cstdint>
#include <memory>

#include "runtime/graph/graph.h"

namespace safelight {

// Text encoder of CompVis' latent diffusion ("BERTEmbedder", an encoder of x-transformers): pre-norm layers,
// no attention mask, no bias on query, key and value. Parameters are named as in diffusers' LDMBertModel.
struct bert_encoder_params {
    int64_t vocabulary, width, hidden, layers, heads, head_width, positions;
    float eps;
};

bert_encoder_params read_bert_encoder_params(const config & cfg);

std::unique_ptr<architecture> make_bert_encoder(const config & cfg);

}  // namespace safelight
