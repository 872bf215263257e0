#include "models/upscale/swinir.h"

#include "models/upscale/blocks.h"
#include "models/upscale/entry.h"
#include "nn/activation.h"
#include "nn/attention/window.h"
#include "nn/conv.h"
#include "nn/layout.h"
#include "nn/linear.h"
#include "nn/norm.h"
#include "nn/resample.h"

namespace safelight {
namespace {

constexpr float norm_eps = 1e-5f;  // PyTorch's default

struct params {
    int64_t in_channels, width;
    std::vector<int64_t> depths, heads;  // per group
    int64_t window, mlp_width, unshuffle;
    bool qkv_bias, three_convs;
    float range;
    reconstruction out;
};

// Window attention and an MLP, each with a skip connection: [B, T, C] -> [B, T, C]. The norm and the output
// projection act on single tokens, so that it does not matter that they are computed in the order of the
// windows or the map.
tensor transformer_block(model_ref m, tensor x, const windows & w, int64_t heads, const params & p) {
    model_ref attn = m["attn"];
    const int64_t side = 2 * p.window - 1;
    tensor table = attn.weight("relative_position_bias_table", {side * side, heads}, weight_role::vector);
    tensor h = layer_norm(m["norm1"], window_partition(m, x, w), norm_eps);
    tensor qkv =
        p.qkv_bias ? linear(attn["qkv"], h, 3 * p.width) : linear_without_bias(attn["qkv"], h, 3 * p.width);
    h = window_attention(attn, qkv, heads, window_bias(attn, table, w), w);
    x = add(m, linear(attn["proj"], window_merge(m, h, w), p.width), x);
    h = gelu(m, linear(m["mlp"]["fc1"], layer_norm(m["norm2"], x, norm_eps), p.mlp_width));
    return named_sequence(m, add(m, linear(m["mlp"]["fc2"], h, p.width), x));
}

// Residual Swin transformer block: [B, C, H, W] -> [B, C, H, W].
tensor residual_group(model_ref m, tensor map, const windows (&w)[2], int64_t depth, int64_t heads,
                      const params & p) {
    map_dims d = dims_of_map(m, map);
    tensor x = sequence_from_map(m, map);
    model_ref blocks = m["residual_group"]["blocks"];
    for (int64_t i = 0; i < depth; ++i) x = transformer_block(blocks[i], x, w[i % 2], heads, p);
    x = skip_convolution(m["conv"], map_from_sequence(m, x, d.height, d.width), p.three_convs);
    return add(m, x, map);
}

tensor deep_features(model_ref m, tensor x, const params & p) {
    map_dims d = dims_of_map(m, x);
    const window_grid plain{d.height, d.width, p.window, p.window};
    window_grid shifted = plain;
    shifted.shift_y = shifted.shift_x = p.window / 2;
    const windows w[2] = {windows_of(m, d.batch, plain), windows_of(m, d.batch, shifted)};
    tensor tokens = layer_norm(m["patch_embed"]["norm"], sequence_from_map(m, x), norm_eps);
    x = map_from_sequence(m, tokens, d.height, d.width);
    for (size_t i = 0; i < p.depths.size(); ++i) {
        model_ref group = m["layers"][static_cast<int64_t>(i)];
        x = residual_group(group, x, w, p.depths[i], p.heads[i], p);
    }
    tokens = layer_norm(m["norm"], sequence_from_map(m, x), norm_eps);
    return map_from_sequence(m, tokens, d.height, d.width);
}

tensor forward(model_ref m, tensor image, const params & p) {
    image = normalized_image(m, image, p.range);
    tensor x = p.unshuffle > 1 ? pixel_unshuffle(m, image, p.unshuffle) : image;
    tensor shallow = named_map(m["conv_first"], conv2d(m["conv_first"], x, p.width));
    x = skip_convolution(m["conv_after_body"], deep_features(m, shallow, p), p.three_convs);
    x = reconstruct(m, add(m, x, shallow), p.out);
    if (p.out.kind == upsampling::none) x = add(m, x, image);
    return denormalized_image(m, x, p.range);
}

int64_t widest(const params & p) {
    const int64_t tokens = std::max(3 * p.width, p.mlp_width);
    return std::max(tokens, widest_of(p.out, p.width));
}

upscaler_shape shape_of(const params & p) {
    return {.in_channels = p.in_channels, .multiple = p.window * p.unshuffle, .widest = widest(p)};
}

}  // namespace

std::unique_ptr<architecture> make_swinir(const config & cfg) {
    params p{};
    p.in_channels = config_integer(cfg, "in_channels", 1, 64);
    p.width = config_integer(cfg, "embed_dim", 4, 1 << 12);
    p.depths = read_depths(cfg);
    p.heads = config_integers(cfg, "num_heads", p.depths.size(), 1, 64);
    for (int64_t heads : p.heads) require_divides(heads, "num_heads", p.width, "embed_dim");
    p.window = config_integer(cfg, "window_size", 2, 64);
    p.mlp_width = config_integer(cfg, "mlp_dim", 1, 1 << 14);
    p.qkv_bias = cfg.boolean("qkv_bias");
    p.three_convs = cfg.boolean("three_convs");
    p.unshuffle = config_integer(cfg, "unshuffle", 1, 8);
    p.range = static_cast<float>(config_number(cfg, "img_range", 1, 255));
    p.out = read_reconstruction(cfg);
    if (p.out.kind == upsampling::none && p.out.out_channels != p.in_channels * p.unshuffle * p.unshuffle) {
        throw error("UNSUPPORTED_MODEL",
                    "Expected as many output as input channels in the model's config but found " +
                        std::to_string(p.out.out_channels));
    }
    return std::make_unique<upscaler>(shape_of(p), [p](model_ref m, tensor x) { return forward(m, x, p); });
}

}  // namespace safelight
