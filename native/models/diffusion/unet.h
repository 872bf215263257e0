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
// Returns the shape of the maps in a level after its residual blocks.
shape shape_in_level(int64_t level, const shape & sample, const unet_params & p);

// Returns the side length of the next coarser level's map.
int64_t halved(int64_t side, const unet_level & level, const unet_params & p);
// States of earlier evaluations that an evaluation reuses, which are inputs besides those of a full
// evaluation.
enum class unet_reuse {
    none,
    deep,   // the map "deep" at a cut
    cross,  // the outputs of all cross-attention layers; there is no text
    end,    // the map "end" before the output layers, which is the only input
    head    // the map "previous", if given, to compare with
};
// Throws SHAPE_MISMATCH or INVALID_OPTION for invalid inputs. `cut` is used by
// unet_reuse::deep.
// With "texts" in the run's params, the session has cached the keys and values of that many texts.
void check_unet_inputs(const input_shapes & inputs, const config & run_params, const unet_params & p,
                       unet_reuse reuse, const unet_cut & cut);
void check_context_input(const input_shapes & inputs, const unet_params & p);
// Returns the smallest inputs that every layer accepts.
input_shapes smallest_unet_inputs(const unet_params & p);

// States of earlier evaluations: a linear combination of `count` of them replaces a computation.
struct unet_states {
    int64_t count = 1;
    tensor weights = nullptr;  // [count], or null for a single state that is used as it is
};
unet_states read_states(model_ref m, const input_shapes & inputs, const config & run_params);
// Returns the combination of states [count·B, ...], all rows of the first one before those of the next: [B,
// ...]. `x` is a map or a sequence.
tensor combined(model_ref m, tensor x, const unet_states & states);

// Text that transformers attend to: text embeddings `context` [B, T, D], or indices `rows` [B] of the
// session's `count` cached texts, each of `length` tokens. Instead of attending to it, they may add the
// outputs of cross-attention of earlier evaluations (inputs named by cross_attention_output), or also output
// theirs.
struct unet_text {
    tensor context = nullptr;
    tensor rows = nullptr;  // I32
    int64_t count = 0, length = 0;
    bool keeps_outputs = false;
    std::optional<unet_states> outputs = std::nullopt;
};

// Returns the name of the output and input for the cross-attention with this prefix.
std::string cross_attention_output(const std::string & prefix);
// Cross-attention layers in the order of computation.
struct cross_attention_layer {
    std::string prefix;
    int64_t level;
};
std::vector<cross_attention_layer> cross_attention_layers(const unet_params & p);

// FreeU (Si et al. 2023, arXiv:2309.11497; diffusers' apply_freeu) in the two coarsest up blocks: multiplies
// half of the channels of the backbone, and the lowest frequencies of the skips.
struct free_u {
    bool on = false;
    double backbone[2] = {1, 1}, skips[2] = {1, 1};

    // Changes the two maps that a residual block of the up path concatenates.
    void apply(model_ref m, int64_t up_block, tensor & x, tensor & skip) const;
};

// Changes of a run to the model's computation, from the run's params.
struct unet_changes {
    free_u freeu;
    // Number of the last items of the batch for which the self-attention of the mid block returns its values:
    // every token attends only to itself (perturbed-attention guidance, Ahn et al. 2024, arXiv:2403.17377).
    int64_t perturbed = 0;
    double merged = 0;               // share of the tokens merged in self-attention at the sample's size
    bool outputs_attention = false;  // outputs the self-attention probabilities of the mid block, "attention"
    bool keeps_end = false;          // outputs the map before the output layers, "end"
};
// Throws INVALID_OPTION.
unet_changes read_unet_changes(const config & run_params);

// Conditioning of every block.
struct unet_conditioning {
    tensor emb;  // [B, E], time embedding plus class and additional embeddings, after SiLU
    unet_text text;
};
unet_conditioning build_conditioning(model_ref m, const input_shapes & inputs, const config & run_params,
                                     const unet_params & p);

struct transformer_options {
    int64_t depth, heads, groups;
    int64_t perturbed = 0;           // last items of the batch for which self-attention returns its values
    double merged = 0;               // share of the tokens merged in self-attention
    bool outputs_attention = false;  // outputs the self-attention probabilities of the first block
};
// Transformer blocks over the pixels of a map, with a skip connection. [B, C, H, W] -> [B, C, H, W].
tensor spatial_transformer(model_ref m, tensor x, const unet_text & text, const transformer_options & o);
// Computes the cross-attention keys and values of all transformers for the texts "context" [N, T, D] and
// stores them in the session.
void build_cross_attention_cache(model_ref m, const input_shapes & inputs, const unet_params & p);

std::unique_ptr<architecture> make_unet(const config & cfg);

}  // namespace safelight
