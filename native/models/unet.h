#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "nn/norm.h"
#include "runtime/graph.h"

namespace safelight {

// The conditional U-Net of latent diffusion (Rombach et al. 2022; SDXL: Podell et al. 2023), diffusers'
// UNet2DConditionModel. Parameters are named as there.
struct unet_level {
    int64_t channels, layers;
    bool down_attention, up_attention;
    int64_t depth;  // transformer blocks after each residual block, where there is attention
    int64_t heads;
};

// SDXL's second embedding: of pooled text and of numbers such as the picture's size.
struct unet_addition {
    int64_t time_embed_dim, input_dim;
};

struct unet_params {
    int64_t in_channels, out_channels, context_dim;
    std::vector<unet_level> levels;  // finest first
    bool mid_attention;
    group_norm_options norm;
    bool cosines_first;
    double freq_shift;
    std::optional<unet_addition> addition;
};

unet_params read_unet_params(const config & cfg);

std::unique_ptr<architecture> make_unet(const config & cfg);

}  // namespace safelight
