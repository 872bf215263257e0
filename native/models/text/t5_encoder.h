#pragma once

#include <cstdint>
#include <memory>

#include "nn/attention/relative_bias.h"
#include "runtime/graph/graph.h"

namespace safelight {

// The encoder of T5 v1.1 (Raffel et al. 2020; GELU-gated feed-forward layers: Shazeer 2020): RMS norms before
// each part, no bias in any linear layer, positions only as a bias of the attention scores, which are not
// scaled. Parameters are named as in transformers' T5EncoderModel.
struct t5_encoder_params {
    int64_t vocabulary, width, head_width, hidden, layers;
    relative_bias_options bias;  // its heads are the attention's
    float eps;
};

t5_encoder_params read_t5_encoder_params(const config & cfg);

// Entry `encode`: tokens [B, T] and, to hide padding, mask [B, T] of 1 and 0 -> hidden [B, T, C], after
// `layer` layers and, unless told otherwise, the final norm.
std::unique_ptr<architecture> make_t5_encoder(const config & cfg);

}  // namespace safelight
