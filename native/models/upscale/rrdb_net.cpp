#include "models/upscale/rrdb_net.h"

#include "models/upscale/entry.h"
#include "nn/activation.h"
#include "nn/conv.h"
#include "nn/layout.h"
#include "nn/resample.h"

namespace safelight {
namespace {

constexpr float slope = 0.2f;           // of every leaky ReLU
constexpr float residual_scale = 0.2f;  // of the paths next to skip connections

struct params {
    int64_t in_channels, out_channels;
    int64_t features, growth, blocks;
    int64_t doublings, unshuffle;
    bool plus;
};

// Residual dense block: each convolution reads the outputs of all earlier ones. [B, F, H, W] -> [B, F, H, W].
tensor dense_block(model_ref m, tensor x, const params & p) {
    auto grow = [&](int64_t k, tensor in) {
        return leaky_relu(m, conv2d(m["conv" + std::to_string(k)], in, p.growth), slope);
    };
    tensor x1 = grow(1, x);
    tensor in = concat_channels(m, x, x1);
    tensor x2 = grow(2, in);
    if (p.plus)
        x2 = add(m, x2, conv2d(m["conv1x1"], x, p.growth, {.kernel = 1, .padding = 0, .bias = false}));
    in = concat_channels(m, in, x2);
    tensor x3 = grow(3, in);
    in = concat_channels(m, in, x3);
    tensor x4 = grow(4, in);
    if (p.plus) x4 = add(m, x4, x2);
    in = concat_channels(m, in, x4);
    return named_map(m, scaled_sum(m, conv2d(m["conv5"], in, p.features), residual_scale, x));
}

// Residual in residual dense block.
tensor rrdb(model_ref m, tensor x, const params & p) {
    tensor y = dense_block(m["rdb1"], x, p);
    y = dense_block(m["rdb2"], y, p);
    y = dense_block(m["rdb3"], y, p);
    return named_map(m, scaled_sum(m, y, residual_scale, x));
}

tensor forward(model_ref m, tensor x, const params & p) {
    if (p.unshuffle > 1) x = pixel_unshuffle(m, x, p.unshuffle);
    tensor shallow = named_map(m["conv_first"], conv2d(m["conv_first"], x, p.features));
    tensor y = shallow;
    for (int64_t n = 0; n < p.blocks; ++n) y = rrdb(m["body"][n], y, p);
    y = add(m, conv2d(m["conv_body"], y, p.features), shallow);
    for (int64_t n = 1; n <= p.doublings; ++n) {
        model_ref up = m["conv_up" + std::to_string(n)];
        map_dims d = dims_of_map(m, y);
        y = named_map(up, conv2d(up, upsample_nearest(m, y, 2 * d.height, 2 * d.width), p.features));
        y = leaky_relu(m, y, slope);
    }
    y = leaky_relu(m, conv2d(m["conv_hr"], y, p.features), slope);
    return conv2d(m["conv_last"], y, p.out_channels);
}

upscaler_shape shape_of(const params & p) {
    return {.in_channels = p.in_channels,
            .multiple = p.unshuffle,
            .widest = std::max(p.features + 4 * p.growth, p.features << (2 * p.doublings))};
}

}  // namespace

std::unique_ptr<architecture> make_rrdb_net(const config & cfg) {
    params p{};
    p.in_channels = config_integer(cfg, "in_channels", 1, 64);
    p.out_channels = config_integer(cfg, "out_channels", 1, 64);
    p.features = config_integer(cfg, "num_feat", 1, 1 << 12);
    p.growth = config_integer(cfg, "num_grow_ch", 1, 1 << 12);
    p.blocks = config_integer(cfg, "num_block", 1, 256);
    p.doublings = config_integer(cfg, "doublings", 0, 4);
    p.unshuffle = config_integer(cfg, "unshuffle", 1, 4);
    p.plus = cfg.boolean("plus");
    return std::make_unique<upscaler>(shape_of(p), [p](model_ref m, tensor x) { return forward(m, x, p); });
}

}  // namespace safelight
