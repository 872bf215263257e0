#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "models/blocks.h"
#include "models/checks.h"
#include "nn/norm.h"
#include "runtime/graph/graph.h"

namespace safelight {

// U-Net of diffusion models, with transformers (Rombach et al. 2022; SDXL: Podell et al. 2023; diffusers'
// UNet2DConditionModel) or with plain attention blocks (Ho et al. 2020; Dhariwal & Nichol 2021; diffusers'
// UNet2DModel). Parameters are named as in diffusers.
struct unet_level {
    int64_t channels, layers;
    bool down_attention, up_attention;
    bool resnet_down, resnet_up;  // resample with a residual block instead of a convolution
    int64_t depth;                // transformer blocks after each residual block, if the level has attention
    int64_t heads;
};

// SDXL's additional embedding of the pooled text and of numbers such as the image size (time ids).
struct unet_addition {
    int64_t time_embed_dim, input_dim;
};

// Class embedding, added to the time embedding. `table`: a row of a table; `timestep`: two linear layers over
// the label's sinusoidal embedding; `identity`: the label itself is an embedding; `projection`: two linear
// layers over a label vector.
struct unet_class_embedding {
    enum { table, timestep, identity, projection } kind;
    int64_t size;  // rows of `table`, or length of the label vector of `projection`
};

struct unet_params {
    int64_t in_channels, out_channels;
    bool transformers;               // with cross-attention to the text; otherwise plain attention blocks
    int64_t context_dim;             // width of the text embeddings
    std::vector<unet_level> levels;  // finest first
    int64_t mid_resnets;             // 0, 1 or 2
    bool mid_attention;              // after the first residual block of the mid block
    int64_t mid_attention_groups;    // of the norm of the mid block's attention; 0 for no norm
    float mid_scale;                 // divides the residual sums of the mid block
    group_norm_options norm;
    bool scale_shift;
    int64_t downsample_padding;
    bool cosines_first;
    double freq_shift;
    int64_t guidance_dim;  // width of the guidance scale's embedding; 0 for none
    std::optional<unet_addition> addition;
    std::optional<unet_class_embedding> label;
};

// Cut point of step caching (DeepCache: Ma et al. 2023, arXiv:2312.00858): the input of the up path's
// residual block at `layer` of `level`, with layers counted from the finest end, is cached and reused in
// later steps.
struct unet_cut {
    int64_t level, layer;
};

unet_params read_unet_params(const config & cfg);
// Returns the cut point of a DeepCache branch: three branches per level, finest first. Throws INVALID_OPTION
// for a branch that does not exist.
unet_cut cut_at_branch(int64_t branch, const unet_params & p);
// Returns the shape of the map at a cut point for a sample [B, C, H, W].
shape shape_at_cut(const unet_cut & cut, const shape & sample, const unet_params & p);

// Returns the side length of the next coarser level's map.
int64_t halved(int64_t side, const unet_level & level, const unet_params & p);
// Throws SHAPE_MISMATCH or INVALID_OPTION for invalid inputs. With a `cut`, the cached map is the input
// "deep". With "texts" in the run's params, the session has cached the keys and values of that many texts.
void check_unet_inputs(const input_shapes & inputs, const config & run_params, const unet_params & p,
                       const unet_cut * cut);
void check_context_input(const input_shapes & inputs, const unet_params & p);
// Returns the smallest inputs that every layer accepts.
input_shapes smallest_unet_inputs(const unet_params & p);

// Text that transformers attend to: text embeddings `context` [B, T, D], or indices `rows` [B] of the
// session's `count` cached texts, each of `length` tokens.
struct unet_text {
    tensor context = nullptr;
    tensor rows = nullptr;  // I32
    int64_t count = 0, length = 0;
};

// Conditioning of every block.
struct unet_conditioning {
    tensor emb;  // [B, E], time embedding plus class and additional embeddings, after SiLU
    unet_text text;
};
unet_conditioning build_conditioning(model_ref m, const input_shapes & inputs, const config & run_params,
                                     const unet_params & p);

// Transformer blocks over the pixels of a map, with a skip connection. [B, C, H, W] -> [B, C, H, W].
tensor spatial_transformer(model_ref m, tensor x, const unet_text & text, const unet_level & level,
                           int64_t groups);
// Computes the cross-attention keys and values of all transformers for the texts "context" [N, T, D] and
// stores them in the session.
void build_cross_attention_cache(model_ref m, const input_shapes & inputs, const unet_params & p);

std::unique_ptr<architecture> make_unet(const config & cfg);

}  // namespace safelight
