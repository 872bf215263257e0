#include <algorithm>
#include <cmath>

#include "models/diffusion/unet.h"
#include "nn/layout.h"

namespace safelight {
namespace {

// The lowest frequencies of a map: 0 and -1 in both directions, whose real parts are sums of 7 waves.
constexpr int64_t wave_count = 7;

// Writes the waves as rows of pixels, multiplied by `scale`. A side of one pixel has the frequency 0 only.
void write_waves(int64_t height, int64_t width, double scale, float * to) {
    constexpr double tau = 6.283185307179586;
    const auto at = [&](int64_t wave) { return to + wave * height * width; };
    std::fill_n(to, wave_count * height * width, 0.0f);
    for (int64_t i = 0; i < height * width; ++i) {
        at(0)[i] = static_cast<float>(scale);
        const int64_t row = i / width, column = i % width;
        const double y = tau * static_cast<double>(row) / static_cast<double>(height),
                     x = tau * static_cast<double>(column) / static_cast<double>(width);
        const double phases[] = {x, y, x + y};
        const bool exists[] = {width > 1, height > 1, width > 1 && height > 1};
        for (int64_t k = 0; k < 3; ++k) {
            if (!exists[k]) continue;
            at(1 + 2 * k)[i] = static_cast<float>(scale * std::cos(phases[k]));
            at(2 + 2 * k)[i] = static_cast<float>(scale * std::sin(phases[k]));
        }
    }
}

tensor product(ggml_context * ctx, tensor a, tensor b) {
    tensor y = ggml_mul_mat(ctx, a, b);
    ggml_mul_mat_set_prec(y, GGML_PREC_F32);
    return y;
}

// Multiplies the lowest frequencies of a map by `factor`: adds (factor - 1) times the projection onto their
// waves.
tensor scale_low_frequencies(model_ref m, tensor x, double factor) {
    ggml_context * ctx = m.ctx();
    const map_dims d = dims_of_map(m, x);
    const int64_t pixels = d.height * d.width;
    auto fill = [d](const graph::host_data &, void * to) {
        write_waves(d.height, d.width, 1, static_cast<float *>(to));
    };
    tensor waves = m.g().computed(GGML_TYPE_F32, {wave_count, pixels}, fill);
    tensor planes = sequence_from_map(m, x);
    planes = ggml_cont(ctx, ggml_permute(ctx, planes, 1, 0, 2, 3));  // [B, C, pixels]
    tensor amplitudes = ggml_scale(ctx, product(ctx, waves, planes),
                                   static_cast<float>((factor - 1) / static_cast<double>(pixels)));
    tensor change = product(ctx, ggml_cont(ctx, ggml_transpose(ctx, waves)), amplitudes);  // [B, C, pixels]
    change = ggml_cont(ctx, ggml_permute(ctx, change, 1, 0, 2, 3));
    // Not add(), which would compute the skip's product again instead of reading it.
    return ggml_add(ctx, x, map_from_sequence(m, change, d.height, d.width));
}

// Multiplies the first half of the channels by `factor`.
tensor scale_half(model_ref m, tensor x, double factor) {
    const int64_t channels = dims_of_map(m, x).channels;
    auto fill = [channels, factor](const graph::host_data &, void * to) {
        float * out = static_cast<float *>(to);
        std::fill_n(out, channels, 1.0f);
        std::fill_n(out, channels / 2, static_cast<float>(factor));
    };
    return multiply_channels(m, x, m.g().computed(GGML_TYPE_F32, {channels}, fill));
}

}  // namespace

void free_u::apply(model_ref m, int64_t up_block, tensor & x, tensor & skip) const {
    if (!on || up_block > 1) return;
    x = scale_half(m, x, backbone[up_block]);
    skip = scale_low_frequencies(m, skip, skips[up_block]);
}

}  // namespace safelight
