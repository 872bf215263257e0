#include "models/upscale/dat.h"

#include "models/upscale/blocks.h"
#include "models/upscale/dat_blocks.h"
#include "models/upscale/entry.h"
#include "nn/conv.h"
#include "nn/layout.h"
#include "nn/norm.h"

namespace safelight {
namespace {

struct params {
    int64_t in_channels, width;
    std::vector<int64_t> depths, heads, window;  // per group; rows and columns of a window
    int64_t mlp_width;
    bool qkv_bias, three_convs;
    float range;
    reconstruction out;

    int64_t largest_side() const { return std::max(window[0], window[1]); }
};

dat_map map_of(model_ref m, map_dims d, const params & p) {
    auto padded = [&](int64_t side) {
        return (side + p.largest_side() - 1) / p.largest_side() * p.largest_side();
    };
    dat_map map{d.height, d.width, padded(d.height), padded(d.width), {}, {}};
    for (int i = 0; i < 2; ++i) {
        window_grid grid{map.padded_height, map.padded_width, p.window[i], p.window[1 - i]};
        map.plain[i] = windows_of(m, d.batch, grid);
        grid.shift_y = grid.rows / 2;
        grid.shift_x = grid.columns / 2;
        map.shifted[i] = windows_of(m, d.batch, grid);
    }
    return map;
}

// Every second spatial block is shifted, beginning with the second one in even groups and the first one in
// odd groups.
bool is_shifted(size_t group, int64_t block) {
    return group % 2 == 0 ? block > 0 && (block - 2) % 4 == 0 : block % 4 == 0;
}

// Residual group: [B, C, H, W] -> [B, C, H, W].
tensor residual_group(model_ref m, tensor features, const dat_map & map, size_t group, const params & p) {
    const dat_block_params b{p.width, p.heads[group], p.mlp_width, p.qkv_bias};
    tensor x = sequence_from_map(m, features);
    for (int64_t i = 0; i < p.depths[group]; ++i) {
        model_ref block = m["blocks"][i];
        x = i % 2 == 0 ? dat_spatial_block(block, x, map, is_shifted(group, i), b)
                       : dat_channel_block(block, x, map, b);
    }
    x = skip_convolution(m["conv"], map_from_sequence(m, x, map.height, map.width), p.three_convs);
    return add(m, x, features);
}

tensor deep_features(model_ref m, tensor x, const params & p) {
    const dat_map map = map_of(m, dims_of_map(m, x), p);
    tensor tokens = layer_norm(m["before_RG"][1], sequence_from_map(m, x), dat_norm_eps);
    x = map_from_sequence(m, tokens, map.height, map.width);
    for (size_t i = 0; i < p.depths.size(); ++i) {
        model_ref group = m["layers"][static_cast<int64_t>(i)];
        x = residual_group(group, x, map, i, p);
    }
    tokens = layer_norm(m["norm"], sequence_from_map(m, x), dat_norm_eps);
    return map_from_sequence(m, tokens, map.height, map.width);
}

tensor forward(model_ref m, tensor image, const params & p) {
    image = normalized_image(m, image, p.range);
    tensor shallow = named_map(m["conv_first"], conv2d(m["conv_first"], image, p.width));
    tensor x = skip_convolution(m["conv_after_body"], deep_features(m, shallow, p), p.three_convs);
    return denormalized_image(m, reconstruct(m, add(m, x, shallow), p.out), p.range);
}

int64_t widest(const params & p) {
    return std::max({3 * p.width, p.mlp_width, widest_of(p.out, p.width)});
}

upscaler_shape shape_of(const params & p) {
    return {.in_channels = p.in_channels, .multiple = 1, .widest = widest(p)};
}

void check_divisions(const params & p) {
    for (int64_t heads : p.heads) {
        require_divides(2, "2", heads, "num_heads");
        require_divides(heads, "num_heads", p.width, "embed_dim");
    }
    require_divides(2, "2", p.mlp_width, "mlp_dim");
    require_divides(std::min(p.window[0], p.window[1]), "the shorter side of split_size", p.largest_side(),
                    "the longer side");
}

}  // namespace

std::unique_ptr<architecture> make_dat(const config & cfg) {
    params p{};
    p.in_channels = config_integer(cfg, "in_channels", 1, 64);
    p.width = config_integer(cfg, "embed_dim", 32, 1 << 12);
    p.depths = read_depths(cfg);
    p.heads = config_integers(cfg, "num_heads", p.depths.size(), 2, 64);
    p.window = config_integers(cfg, "split_size", 2, 2, 64);
    p.mlp_width = config_integer(cfg, "mlp_dim", 2, 1 << 14);
    p.qkv_bias = cfg.boolean("qkv_bias");
    p.three_convs = cfg.boolean("three_convs");
    p.range = static_cast<float>(config_number(cfg, "img_range", 1, 255));
    p.out = read_reconstruction(cfg);
    if (p.out.kind == upsampling::none) {
        throw error("UNSUPPORTED_MODEL", "Expected an upsampler in the model's config but found none");
    }
    check_divisions(p);
    return std::make_unique<upscaler>(shape_of(p), [p](model_ref m, tensor x) { return forward(m, x, p); });
}

}  // namespace safelight
