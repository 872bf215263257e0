#include "models/upscale/blocks.h"

#include <algorithm>

#include "nn/activation.h"
#include "nn/conv.h"
#include "nn/layout.h"
#include "nn/resample.h"

namespace safelight {
namespace {

constexpr float slope = 0.2f;
constexpr float slope_before_upsampling = 0.01f;  // PyTorch's default

// Mean colors of DIV2K (Agustsson and Timofte 2017) as in both papers' implementations; null for other than
// RGB.
tensor mean_color(model_ref m, tensor x) {
    if (dims_of_map(m, x).channels != 3) return nullptr;
    return m.g().computed(GGML_TYPE_F32, {3}, [](const graph::host_data &, void * to) {
        constexpr float mean[3] = {0.4488f, 0.4371f, 0.4040f};
        std::copy(mean, mean + 3, static_cast<float *>(to));
    });
}

tensor before_upsampling(model_ref m, tensor x, const reconstruction & r) {
    model_ref conv = m["conv_before_upsample"][0];
    return leaky_relu(m, named_map(conv, conv2d(conv, x, r.features)), slope_before_upsampling);
}

}  // namespace

int64_t reconstruction::scale() const {
    int64_t s = 1;
    for (int64_t factor : factors) s *= factor;
    return s;
}

std::vector<int64_t> read_depths(const config & cfg) {
    const size_t groups = cfg.integers("depths").size();
    if (groups < 1 || groups > 64) {
        throw error("UNSUPPORTED_MODEL",
                    "Expected 1 to 64 depths in the model's config but found " + std::to_string(groups));
    }
    return config_integers(cfg, "depths", groups, 1, 64);
}

reconstruction read_reconstruction(const config & cfg) {
    reconstruction r{};
    const std::string & kind = cfg.text("upsampler");
    r.kind = kind == "pixelshuffle"         ? upsampling::shuffle
             : kind == "pixelshuffledirect" ? upsampling::shuffle_direct
             : kind == "nearest+conv"       ? upsampling::nearest
                                            : upsampling::none;
    const size_t count = cfg.integers("upsample_factors").size();
    if (count > 6 || (r.kind == upsampling::none) != (count == 0) ||
        (r.kind == upsampling::shuffle_direct && count != 1)) {
        throw error("UNSUPPORTED_MODEL", "Expected a number of upsample_factors that suits the upsampler '" +
                                             kind + "' in the model's config but found " +
                                             std::to_string(count));
    }
    const bool doubles = r.kind == upsampling::nearest;
    r.factors = config_integers(cfg, "upsample_factors", count, doubles ? 2 : 1, doubles ? 2 : 8);
    if (r.scale() > 64) {
        throw error("UNSUPPORTED_MODEL",
                    "Expected upsample_factors whose product is at most 64 in the model's config but found " +
                        std::to_string(r.scale()));
    }
    r.features = config_integer(cfg, "num_feat", 1, 1 << 12);
    r.out_channels = config_integer(cfg, "out_channels", 1, 64);
    return r;
}

int64_t widest_of(const reconstruction & r, int64_t channels) {
    if (r.kind == upsampling::none) return channels;
    const int64_t width = r.kind == upsampling::shuffle_direct ? r.out_channels : r.features;
    return std::max(channels, width * r.scale() * r.scale());
}

tensor skip_convolution(model_ref m, tensor x, bool three) {
    const int64_t channels = dims_of_map(m, x).channels;
    if (!three) return conv2d(m, x, channels);
    x = leaky_relu(m, conv2d(m[0], x, channels / 4), slope);
    x = leaky_relu(m, conv1x1(m[2], x, channels / 4), slope);
    return conv2d(m[4], x, channels);
}

tensor reconstruct(model_ref m, tensor x, const reconstruction & r) {
    if (r.kind == upsampling::none) return conv2d(m["conv_last"], x, r.out_channels);
    if (r.kind == upsampling::shuffle_direct) {
        const int64_t f = r.factors.front();
        return pixel_shuffle(m, conv2d(m["upsample"][0], x, r.out_channels * f * f), f);
    }
    x = before_upsampling(m, x, r);
    for (size_t i = 0; i < r.factors.size(); ++i) {
        const int64_t f = r.factors[i], n = static_cast<int64_t>(i);
        if (r.kind == upsampling::shuffle) {
            x = pixel_shuffle(m, conv2d(m["upsample"][2 * n], x, r.features * f * f), f);
            continue;
        }
        map_dims d = dims_of_map(m, x);
        x = conv2d(m["conv_up" + std::to_string(n + 1)], upsample_nearest(m, x, f * d.height, f * d.width),
                   r.features);
        x = leaky_relu(m, x, slope);
    }
    if (r.kind == upsampling::nearest) x = leaky_relu(m, conv2d(m["conv_hr"], x, r.features), slope);
    return conv2d(m["conv_last"], x, r.out_channels);
}

tensor normalized_image(model_ref m, tensor x, float range) {
    if (tensor mean = mean_color(m, x)) x = subtract_channels(m, x, mean);
    return range == 1 ? x : ggml_scale(m.ctx(), x, range);
}

tensor denormalized_image(model_ref m, tensor x, float range) {
    if (range != 1) x = ggml_scale(m.ctx(), x, 1 / range);
    tensor mean = mean_color(m, x);
    return mean ? add_channels(m, x, mean) : x;
}

}  // namespace safelight
