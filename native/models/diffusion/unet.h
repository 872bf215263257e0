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

// The U-Net of diffusion models: conditional with transformers (Rombach et al. 2022; SDXL: Podell et al.
// 2023), diffusers' UNet2DConditionModel; and with plain attention blocks (Ho et al. 2020; Dhariwal & Nichol
// 2021), diffusers' UNet2DModel. Parameters are named as there.
struct unet_level {
    int64_t channels, layers;
    bool down_attention, up_attention;
    bool resnet_down, resnet_up;  // residual blocks that resample, in the place of a convolution
    int64_t depth;                // transformer blocks after each residual block, where there is attention
    int64_t heads;
};

// SDXL's second embedding: of pooled text and of numbers such as the picture's size.
struct unet_addition {
    int64_t time_embed_dim, input_dim;
};

// What of a class is added to the time embedding: a row of a table, two linear layers over the label's
// sinusoid, the label itself as an embedding, or two linear layers over it.
struct unet_class_embedding {
    enum { table, timestep, identity, projection } kind;
    int64_t size;  // rows of the table, numbers of the label to be projected
};

struct unet_params {
    int64_t in_channels, out_channels;
    bool transformers;               // around the text; otherwise attention blocks
    int64_t context_dim;             // of transformers
    std::vector<unet_level> levels;  // finest first
    int64_t mid_resnets;             // 0, 1 or 2
    bool mid_attention;              // after the first of them
    int64_t mid_attention_groups;    // of an attention block's norm; 0 for none
    float mid_scale;                 // what the middle's sums are divided by
    group_norm_options norm;
    bool scale_shift;
    int64_t downsample_padding;
    bool cosines_first;
    double freq_shift;
    std::optional<unet_addition> addition;
    std::optional<unet_class_embedding> label;
};

// Where step caching (DeepCache: Ma et al. 2023, arXiv:2312.00858) cuts the U-Net: what goes into the up
// path's residual block at `layer` of `level`, layers counted from the finest end, is kept and given again.
struct unet_cut {
    int64_t level, layer;
};

unet_params read_unet_params(const config & cfg);
// The package's numbering: three branches a level. Throws INVALID_OPTION for a level that is not there.
unet_cut cut_of_branch(int64_t branch, const unet_params & p);
// Channels and sides of what is kept there, of a sample [B, C, H, W].
shape shape_at_cut(const unet_cut & cut, const shape & sample, const unet_params & p);

// Of one level's map, that of the next.
int64_t halved(int64_t side, const unet_level & level, const unet_params & p);
// SHAPE_MISMATCH or INVALID_OPTION for inputs that do not fit. `cut` where the deeper part is given as
// "deep"; `how` are the run's params, whose "texts" says that the session keeps so many.
void check_unet_inputs(const input_shapes & inputs, const config & how, const unet_params & p,
                       const unet_cut * cut);
void check_texts(const input_shapes & inputs, const unet_params & p);
// The smallest inputs that every layer can take.
input_shapes smallest_unet_inputs(const unet_params & p);

// What transformers attend to: states [B, T, D]; or, of `count` texts whose keys and values the session
// keeps, the one of each sample.
struct unet_text {
    tensor context = nullptr;
    tensor rows = nullptr;  // [B], I32
    int64_t count = 0, length = 0;
};

// What every block is conditioned on.
struct unet_conditioning {
    tensor emb;  // [B, E], time and what is added to it, SiLU applied
    unet_text text;
};
unet_conditioning build_conditioning(model_ref m, const input_shapes & inputs, const config & how,
                                     const unet_params & p);

// Transformer blocks over the pixels of a map, around them a residual. [B, C, H, W] -> [B, C, H, W].
tensor spatial_transformer(model_ref m, tensor x, const unet_text & text, const unet_level & level,
                           int64_t groups);
// Computes the keys and values of all transformers for the texts of "context" [N, T, D], and leaves them with
// the session.
void keep_texts(model_ref m, const input_shapes & inputs, const unet_params & p);

std::unique_ptr<architecture> make_unet(const config & cfg);

}  // namespace safelight
