#include "models/unet.h"
#include "nn/activation.h"
#include "nn/attention.h"
#include "nn/layout.h"
#include "nn/linear.h"

namespace safelight {
namespace {

constexpr float layer_norm_eps = 1e-5f;
constexpr float transformer_norm_eps = 1e-6f;

// x [B, T, C] attends to context [B, Tk, D], which is x itself in attn1.
tensor cross_attention(model_ref m, tensor x, tensor context, int64_t heads) {
    int64_t width = dims_of_sequence(x).channels;
    tensor q = named_sequence(m["to_q"], linear_without_bias(m["to_q"], x, width));
    tensor k = named_sequence(m["to_k"], linear_without_bias(m["to_k"], context, width));
    tensor v = named_sequence(m["to_v"], linear_without_bias(m["to_v"], context, width));
    return named_sequence(m, linear(m["to_out"][0], attention(m, q, k, v, heads), width));
}

tensor feed_forward(model_ref m, tensor x) {
    int64_t width = dims_of_sequence(x).channels;
    x = geglu(m, linear(m["net"][0]["proj"], x, 8 * width));
    return named_sequence(m, linear(m["net"][2], x, width));
}

tensor transformer_block(model_ref m, tensor x, tensor context, int64_t heads) {
    tensor h = layer_norm(m["norm1"], x, layer_norm_eps);
    x = add(m, x, cross_attention(m["attn1"], h, h, heads));
    h = layer_norm(m["norm2"], x, layer_norm_eps);
    x = add(m, x, cross_attention(m["attn2"], h, context, heads));
    h = layer_norm(m["norm3"], x, layer_norm_eps);
    x = add(m, x, feed_forward(m["ff"], h));
    return named_sequence(m, x);
}

}  // namespace

// proj_in and proj_out are 1x1 convolutions in SD1, linear layers later: the same sum over a sequence.
tensor spatial_transformer(model_ref m, tensor x, tensor context, const unet_level & level, int64_t groups) {
    map_dims d = dims_of_map(m, x);
    tensor h = sequence_from_map(m, group_norm(m["norm"], x, {groups, transformer_norm_eps}));
    h = linear(m["proj_in"], h, d.channels);
    for (int64_t i = 0; i < level.depth; ++i) {
        h = transformer_block(m["transformer_blocks"][i], h, context, level.heads);
    }
    h = linear(m["proj_out"], h, d.channels);
    return named_map(m, add(m, map_from_sequence(m, h, d.height, d.width), x));
}

}  // namespace safelight
