#include "models/diffusion/unet.h"
#include "nn/activation.h"
#include "nn/attention/attention.h"
#include "nn/attention/qkv.h"
#include "nn/layout.h"
#include "nn/linear.h"

namespace safelight {
namespace {

constexpr float layer_norm_eps = 1e-5f;
constexpr float transformer_norm_eps = 1e-6f;

// The session's tensor for to_k or to_v: [N, T, C].
tensor kept_side(model_ref m, int64_t count, int64_t length, int64_t width, state_origin origin) {
    return m.g().state(m.prefix(), GGML_TYPE_F32, {count, length, width}, origin);
}

// Keys or values that the session keeps of each sample's text.
tensor own_side(model_ref m, const unet_text & text, int64_t width) {
    tensor kept = kept_side(m, text.count, text.length, width, state_origin::earlier_run);
    kept = ggml_reshape_2d(m.ctx(), kept, width * text.length, text.count);
    tensor own = ggml_get_rows(m.ctx(), kept, text.rows);
    return named_sequence(m, ggml_reshape_3d(m.ctx(), own, width, text.length, text.rows->ne[0]));
}

// Keys and values are computed from the text's states, or those that the session keeps.
qkv cross_qkv(model_ref m, tensor x, const unet_text & text, int64_t width) {
    const qkv_layers layers{"to_q", "to_k", "to_v", /*bias*/ false};
    if (text.context) return project_qkv(m, x, text.context, width, layers);
    return {projection(m[layers.q], x, width, layers.bias), own_side(m[layers.k], text, width),
            own_side(m[layers.v], text, width)};
}

// x [B, T, C] attends to a text, or to itself in attn1.
tensor cross_attention(model_ref m, tensor x, const unet_text & text, int64_t heads) {
    int64_t width = dims_of_sequence(x).channels;
    auto [q, k, v] = cross_qkv(m, x, text, width);
    return named_sequence(m, linear(m["to_out"][0], attention(m, q, k, v, heads), width));
}

tensor feed_forward(model_ref m, tensor x) {
    int64_t width = dims_of_sequence(x).channels;
    x = geglu(m, linear(m["net"][0]["proj"], x, 8 * width));
    return named_sequence(m, linear(m["net"][2], x, width));
}

tensor transformer_block(model_ref m, tensor x, const unet_text & text, int64_t heads) {
    tensor h = layer_norm(m["norm1"], x, layer_norm_eps);
    x = add(m, x, cross_attention(m["attn1"], h, {.context = h}, heads));
    h = layer_norm(m["norm2"], x, layer_norm_eps);
    x = add(m, x, cross_attention(m["attn2"], h, text, heads));
    h = layer_norm(m["norm3"], x, layer_norm_eps);
    x = add(m, x, feed_forward(m["ff"], h));
    return named_sequence(m, x);
}

// Of the transformers after each of a block's residual blocks.
void keep_block(model_ref m, tensor context, int64_t layers, const unet_level & level) {
    sequence_dims d = dims_of_sequence(context);
    for (int64_t i = 0; i < layers * level.depth; ++i) {
        model_ref attention =
            m["attentions"][i / level.depth]["transformer_blocks"][i % level.depth]["attn2"];
        for (const char * part : {"to_k", "to_v"}) {
            model_ref to = attention[part];
            tensor kept = kept_side(to, d.batch, d.length, level.channels, state_origin::any_run);
            m.g().effect(ggml_cpy(m.ctx(), linear_without_bias(to, context, level.channels), kept));
        }
    }
}

}  // namespace

// proj_in and proj_out are 1x1 convolutions in SD1, linear layers later: the same sum over a sequence.
tensor spatial_transformer(model_ref m, tensor x, const unet_text & text, const unet_level & level,
                           int64_t groups) {
    map_dims d = dims_of_map(m, x);
    tensor h = sequence_from_map(m, group_norm(m["norm"], x, {groups, transformer_norm_eps}));
    h = linear(m["proj_in"], h, d.channels);
    for (int64_t i = 0; i < level.depth; ++i) {
        h = transformer_block(m["transformer_blocks"][i], h, text, level.heads);
    }
    h = linear(m["proj_out"], h, d.channels);
    return named_map(m, add(m, map_from_sequence(m, h, d.height, d.width), x));
}

void keep_texts(model_ref m, const input_shapes & inputs, const unet_params & p) {
    tensor context = m.g().input("context", GGML_TYPE_F32, inputs.at("context"));
    int64_t count = static_cast<int64_t>(p.levels.size());
    for (int64_t i = 0; i < count; ++i) {
        const unet_level & level = p.levels[i];
        if (level.down_attention) keep_block(m["down_blocks"][i], context, level.layers, level);
        if (level.up_attention) keep_block(m["up_blocks"][count - 1 - i], context, level.layers + 1, level);
    }
    if (p.mid_attention) keep_block(m["mid_block"], context, 1, p.levels.back());
}

}  // namespace safelight
