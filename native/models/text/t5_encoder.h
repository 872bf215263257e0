#pragma once

#include <cstdint>
#include <memory>

#include "nn/attention/relative_bias.h"
#include "runtime/graph/graph.h"

namespace safelight {

// Encoder of T5 v1.1 (Raffel et al. 2020; GELU-gated feed-forward layers: Shazeer 2020): pre-norm layers with
// RMS norms, no bias in linear layers, relative positions as a bias of the unscaled attention scores.
// Parameters are named as in transformers' T5EncoderModel.
struct t5_encoder_params {
    int64_t vocabulary, width, head_width, hidden, layers;
    relative_bias_options bias;  // bias.heads is also the number of attention heads
    float eps;
};

t5_encoder_params read_t5_encoder_params(const config & cfg);

// Entry `encode`: tokens [B, T] and optionally a padding mask [B, T] (1 for tokens, 0 for padding) ->
// hidden [B, T, C] after `layer` layers (default all) and the final norm, unless the parameter `final_norm`
// is false.
std::unique_ptr<architecture> make_t5_encoder(const config & cfg);

}  // namespace safelight
