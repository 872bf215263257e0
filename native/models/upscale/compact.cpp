#include "models/upscale/compact.h"

#include "models/upscale/entry.h"
#include "nn/activation.h"
#include "nn/conv.h"
#include "nn/layout.h"
#include "nn/resample.h"

namespace safelight {
namespace {

struct params {
    int64_t in_channels, out_channels;
    int64_t features, convolutions;  // convolutions between the first and the last one
    int64_t scale;
};

tensor forward(model_ref m, tensor image, const params & p) {
    model_ref body = m["body"];
    tensor x = image;
    for (int64_t n = 0; n <= p.convolutions; ++n) {
        x = conv2d(body[2 * n], x, p.features);
        x = named_map(body[2 * n + 1], prelu(body[2 * n + 1], x));
    }
    x = conv2d(body[2 * p.convolutions + 2], x, p.out_channels * p.scale * p.scale);
    if (p.scale == 1) return add(m, x, image);
    map_dims d = dims_of_map(m, image);
    tensor base = upsample_nearest(m, image, d.height * p.scale, d.width * p.scale);
    return add(m, pixel_shuffle(m, x, p.scale), base);
}

upscaler_shape shape_of(const params & p) {
    return {.in_channels = p.in_channels,
            .multiple = 1,
            .widest = std::max(p.features, p.out_channels * p.scale * p.scale)};
}

}  // namespace

std::unique_ptr<architecture> make_compact(const config & cfg) {
    params p{};
    p.in_channels = config_integer(cfg, "in_channels", 1, 64);
    p.out_channels = config_integer(cfg, "out_channels", 1, 64);
    if (p.in_channels != p.out_channels) {
        throw error("UNSUPPORTED_MODEL",
                    "Expected out_channels to equal in_channels in the model's config but found " +
                        std::to_string(p.out_channels) + " and " + std::to_string(p.in_channels));
    }
    p.features = config_integer(cfg, "num_feat", 1, 1 << 12);
    p.convolutions = config_integer(cfg, "num_conv", 0, 1024);
    p.scale = config_integer(cfg, "upscale", 1, 16);
    return std::make_unique<upscaler>(shape_of(p), [p](model_ref m, tensor x) { return forward(m, x, p); });
}

}  // namespace safelight
