#pragma once

#include <cstdint>
#include <memory>

#include "runtime/graph/graph.h"

namespace safelight {

// Text encoder of CLIP (Radford et al. 2021): CLIP-L of SD1 with quick GELU, OpenCLIP-H of SD2 and bigG of
// SDXL with exact GELU. Parameters are named as in transformers' CLIPTextModelWithProjection.
struct text_encoder_params {
    int64_t vocabulary, width, hidden, layers, heads, positions, projection;
    bool quick_gelu;
    float eps;
};

text_encoder_params read_text_encoder_params(const config & cfg);

std::unique_ptr<architecture> make_text_encoder(const config & cfg);

}  // namespace safelight
