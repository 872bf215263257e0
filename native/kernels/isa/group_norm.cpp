// Statistics of GroupNorm (Wu and He 2018) over channels-last maps. Means and squared deviations are computed
// for fixed chunks of pixels, in two passes while a chunk is in cache, and combined in double in a fixed
// order (Chan et al. 1979). This avoids cancellation and makes the result independent of the number of
// threads.

#include <cmath>
#include <vector>

#include "kernels/isa/isa.h"
#include "kernels/isa/micro.h"
#include "kernels/scratch.h"

namespace safelight::kernels::SAFELIGHT_ISA {

namespace {

constexpr int64_t chunk_pixels = 64;

// Sums rows of `channels` floats per channel; with `center`, sums their squared distances from it.
void add_rows(const float * x, int64_t rows, int64_t channels, const float * center, float * sums) {
    for (int64_t c = 0; c < channels; c += VL) {
        const int n = static_cast<int>(std::min<int64_t>(VL, channels - c));
        const vf mean = center ? load_part(center + c, n) : vf{};
        vf total = {};
        for (int64_t r = 0; r < rows; r++) {
            const float * from = x + r * channels + c;
            const vf v = (n == VL ? load(from) : load_part(from, n)) - mean;
            total += center ? v * v : v;
        }
        store_part(sums + c, total, n);
    }
}

}  // namespace

void group_norm_partial(const group_norm_args & p, const team & t) {
    const int64_t chunks = group_norm_chunks(p.pixels), width = p.channels / p.groups;
    for_each_item(t, p.batch * chunks, [&](int64_t item) {
        const int64_t batch = item / chunks, first = item % chunks * chunk_pixels;
        const int64_t rows = std::min(chunk_pixels, p.pixels - first);
        const float * x = p.x + (batch * p.pixels + first) * p.channels;
        float *sums = scratch(static_cast<size_t>(2 * p.channels + VL)), *center = sums + p.channels;
        float * out = p.partial + item * p.groups * 2;
        add_rows(x, rows, p.channels, nullptr, sums);
        for (int64_t g = 0; g < p.groups; g++) {
            double mean = 0;
            for (int64_t c = g * width; c < (g + 1) * width; c++) mean += sums[c];
            mean /= static_cast<double>(rows * width);
            out[2 * g] = static_cast<float>(mean);
            for (int64_t c = g * width; c < (g + 1) * width; c++) center[c] = out[2 * g];
        }
        add_rows(x, rows, p.channels, center, sums);
        for (int64_t g = 0; g < p.groups; g++) {
            double squares = 0;
            for (int64_t c = g * width; c < (g + 1) * width; c++) squares += sums[c];
            out[2 * g + 1] = static_cast<float>(squares);
        }
    });
}

void group_norm_fold(const group_norm_args & p, const team & t) {
    const int64_t chunks = group_norm_chunks(p.pixels), width = p.channels / p.groups;
    for_each_item(t, p.batch * p.groups, [&](int64_t item) {
        const int64_t batch = item / p.groups, g = item % p.groups;
        double count = 0, mean = 0, squares = 0;
        for (int64_t chunk = 0; chunk < chunks; chunk++) {
            const float * from = p.partial + ((batch * chunks + chunk) * p.groups + g) * 2;
            const double n =
                static_cast<double>(std::min(chunk_pixels, p.pixels - chunk * chunk_pixels) * width);
            const double delta = from[0] - mean;
            squares += from[1] + delta * delta * count * n / (count + n);
            mean += delta * n / (count + n);
            count += n;
        }
        const double inverse = 1 / std::sqrt(squares / count + static_cast<double>(p.eps));
        float *scale = p.scale_shift + batch * 2 * p.channels, *shift = scale + p.channels;
        for (int64_t c = g * width; c < (g + 1) * width; c++) {
            const double s = inverse * (p.gamma ? p.gamma[c] : 1.f);
            scale[c] = static_cast<float>(s);
            shift[c] = static_cast<float>((p.beta ? p.beta[c] : 0.f) - mean * s);
        }
    });
}

}  // namespace safelight::kernels::SAFELIGHT_ISA
