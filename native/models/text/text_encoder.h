#pragma once

#include <cstdint>
#include <memory>

#include "runtime/graph/graph.h"

namespace safelight {

// CLIP's text tower (Radford et al. 2021): SD1's CLIP-L with the quick GELU, SD2's OpenCLIP-H and SDXL's bigG
// with the exact one. Parameters are named as in transformers' CLIPTextModelWithProjection.
struct text_encoder_params {
    int64_t vocabulary, width, hidden, layers, heads, positions, projection;
    bool quick_gelu;
    float eps;
};

text_encoder_params read_text_encoder_params(const config & cfg);

std::unique_ptr<architecture> make_text_encoder(const config & cfg);

}  // namespace safelight
