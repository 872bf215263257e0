#include <algorithm>

#include "models/diffusion/unet.h"
#include "nn/activation.h"
#include "nn/attention/attention.h"
#include "nn/attention/qkv.h"
#include "nn/attention/token_merging.h"
#include "nn/layout.h"
#include "nn/linear.h"

namespace safelight {
namespace {

constexpr float layer_norm_eps = 1e-5f;
constexpr float transformer_norm_eps = 1e-6f;

// Returns the session's state for a to_k or to_v layer: [N, T, C].
tensor cache_state(model_ref m, int64_t count, int64_t length, int64_t width, state_origin origin) {
    return m.g().state(m.prefix(), GGML_TYPE_F32, {count, length, width}, origin);
}

// Returns the cached keys or values of each sample's text: [B, T, C].
tensor cached_projection(model_ref m, const unet_text & text, int64_t width) {
    tensor cache = cache_state(m, text.count, text.length, width, state_origin::earlier_run);
    cache = ggml_reshape_2d(m.ctx(), cache, width * text.length, text.count);
    tensor selected = ggml_get_rows(m.ctx(), cache, text.rows);
    return named_sequence(m, ggml_reshape_3d(m.ctx(), selected, width, text.length, text.rows->ne[0]));
}

// Computes keys and values from the text embeddings, or reads them from the session's cache.
qkv cross_qkv(model_ref m, tensor x, const unet_text & text, int64_t width) {
    const qkv_layers layers{"to_q", "to_k", "to_v", /*bias*/ false};
    if (text.context) return project_qkv(m, x, text.context, width, layers);
    return {projection(m[layers.q], x, width, layers.bias), cached_projection(m[layers.k], text, width),
            cached_projection(m[layers.v], text, width)};
}

// Attention of x [B, T, C] to a text; self-attention if it is x.
tensor attend(model_ref m, tensor x, const unet_text & text, int64_t heads, bool outputs_attention = false) {
    int64_t width = dims_of_sequence(x).channels;
    auto [q, k, v] = cross_qkv(m, x, text, width);
    if (outputs_attention) {
        tensor probs = attention_probabilities(m, q, k, heads);
        m.g().output("attention", probs, {probs->ne[3], heads, probs->ne[1], probs->ne[0]});
    }
    return named_sequence(m, linear(m["to_out"][0], attention(m, q, k, v, heads), width));
}

// Attention of x [B, T, C] to the text, or the combination of its outputs in earlier evaluations.
tensor cross_attention(model_ref m, tensor x, const unet_text & text, int64_t heads) {
    const auto [batch, length, channels] = dims_of_sequence(x);
    const std::string name = cross_attention_output(m.prefix());
    if (text.outputs) {
        const shape dims{text.outputs->count * batch, length, channels};
        return combined(m, m.g().input(name, GGML_TYPE_F32, dims), *text.outputs);
    }
    tensor y = attend(m, x, text, heads);
    if (text.keeps_outputs) m.g().output(name, y, {batch, length, channels});
    return y;
}

tensor feed_forward(model_ref m, tensor x) {
    int64_t width = dims_of_sequence(x).channels;
    x = geglu(m, linear(m["net"][0]["proj"], x, 8 * width));
    return named_sequence(m, linear(m["net"][2], x, width));
}

// Items [first, first + count) of a batch: [B, T, C] -> [count, T, C].
tensor items(model_ref m, tensor x, int64_t first, int64_t count) {
    if (count == x->ne[2]) return x;
    return ggml_cont(m.ctx(), ggml_view_3d(m.ctx(), x, x->ne[0], x->ne[1], count, x->nb[1], x->nb[2],
                                           static_cast<size_t>(first) * x->nb[2]));
}

// Replaces the last `count` items of the self-attention y of x by those in which every token attends only to
// itself.
tensor perturb(model_ref m, tensor x, tensor y, int64_t count) {
    const auto [batch, length, width] = dims_of_sequence(x);
    tensor values = linear_without_bias(m["to_v"], items(m, x, batch - count, count), width);
    values = linear(m["to_out"][0], values, width);
    return count == batch ? values : ggml_concat(m.ctx(), items(m, y, 0, batch - count), values, 2);
}

// Self-attention of the normalized pixels h [B, H·W, C] of a map of the given size. Tokens are merged by the
// similarity of the pixels x before the norm.
tensor self_attention(model_ref m, tensor x, tensor h, const map_dims & size, const transformer_options & o) {
    if (o.merged == 0) {
        tensor y = attend(m, h, {.context = h}, o.heads, o.outputs_attention);
        const int64_t perturbed = std::min(o.perturbed, h->ne[2]);
        return perturbed == 0 ? y : perturb(m, h, y, perturbed);
    }
    const token_merging merging = match_tokens(m, x, size.height, size.width, o.merged);
    tensor merged = merge_tokens(m, h, merging);
    return unmerge_tokens(m, attend(m, merged, {.context = merged}, o.heads), merging);
}

tensor transformer_block(model_ref m, tensor x, const unet_text & text, const map_dims & size,
                         const transformer_options & o) {
    tensor h = layer_norm(m["norm1"], x, layer_norm_eps);
    x = add(m, x, self_attention(m["attn1"], x, h, size, o));
    h = layer_norm(m["norm2"], x, layer_norm_eps);
    x = add(m, x, cross_attention(m["attn2"], h, text, o.heads));
    h = layer_norm(m["norm3"], x, layer_norm_eps);
    x = add(m, x, feed_forward(m["ff"], h));
    return named_sequence(m, x);
}

}  // namespace

// proj_in and proj_out are 1x1 convolutions in SD1 and linear layers in later models, which are equivalent on
// a sequence.
tensor spatial_transformer(model_ref m, tensor x, const unet_text & text, const transformer_options & o) {
    map_dims d = dims_of_map(m, x);
    tensor h = sequence_from_map(m, group_norm(m["norm"], x, {o.groups, transformer_norm_eps}));
    h = linear(m["proj_in"], h, d.channels);
    transformer_options rest = o;
    rest.outputs_attention = false;
    for (int64_t i = 0; i < o.depth; ++i) {
        h = transformer_block(m["transformer_blocks"][i], h, text, d, i == 0 ? o : rest);
    }
    h = linear(m["proj_out"], h, d.channels);
    return named_map(m, add(m, map_from_sequence(m, h, d.height, d.width), x));
}

std::string cross_attention_output(const std::string & prefix) {
    return "output of " + prefix;
}

void build_cross_attention_cache(model_ref m, const input_shapes & inputs, const unet_params & p) {
    tensor context = m.g().input("context", GGML_TYPE_F32, inputs.at("context"));
    sequence_dims d = dims_of_sequence(context);
    for (const auto & [prefix, level] : cross_attention_layers(p)) {
        const int64_t width = p.levels[level].channels;
        for (const char * part : {"to_k", "to_v"}) {
            model_ref to = m[prefix][part];
            tensor cache = cache_state(to, d.batch, d.length, width, state_origin::any_run);
            m.g().effect(ggml_cpy(m.ctx(), linear_without_bias(to, context, width), cache));
        }
    }
}

}  // namespace safelight
