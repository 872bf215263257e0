#pragma once

// Reads rows of a product's left operand: gathered for a convolution, normalized, activated.

#include <cmath>

#include "kernels/isa/functions.h"
#include "kernels/kernels.h"

namespace safelight::kernels::SAFELIGHT_ISA {

// Gathers the pixels of output pixel `row` into out[channels / group][taps][group], applying scale_shift and
// SiLU. The channels of the last group are completed by zeros.
inline void gather_convolution(const gemm_args & p, int64_t row, int64_t group, float * out) {
    const auto & c = p.conv;
    const int64_t map_pixels = c.out_height * c.out_width, batch = row / map_pixels;
    const int64_t oy = row % map_pixels / c.out_width, ox = row % c.out_width, taps = c.kernel * c.kernel;
    const auto place = [=](int64_t channel, int64_t tap) {
        return (channel / group * taps + tap) * group + channel % group;
    };
    for (int64_t i = c.cin; i % group != 0; i++) {
        for (int64_t tap = 0; tap < taps; tap++) out[place(i, tap)] = 0;
    }
    for (int64_t tap = 0; tap < taps; tap++) {
        int64_t y = oy * c.stride + tap / c.kernel - c.pad_begin,
                x = ox * c.stride + tap % c.kernel - c.pad_begin;
        if (c.wraps) {
            y = (y % c.height + c.height) % c.height;
            x = (x % c.width + c.width) % c.width;
        }
        if (y < 0 || y >= c.height || x < 0 || x >= c.width) {
            for (int64_t i = 0; i < c.cin; i++) out[place(i, tap)] = 0;
            continue;
        }
        const float * from = p.x + ((batch * c.height + y) * c.width + x) * c.cin;
        const float * scale = p.scale_shift ? p.scale_shift + batch * 2 * c.cin : nullptr;
        for (int64_t i = 0; i < c.cin; i += VL) {
            const int n = static_cast<int>(std::min<int64_t>(VL, c.cin - i));
            vf v = load_part(from + i, n);
            if (scale) v = v * load_part(scale + i, n) + load_part(scale + c.cin + i, n);
            if (p.silu) v = silu(v);
            for (int k = 0; k < n; k++) out[place(i + k, tap)] = v[k];
        }
    }
}

// Returns the sum of f(vector) over the vectors of x[0, vector_end). Four independent sums hide the latency
// of additions.
template <class F>
inline float sum_row(const float * x, int64_t vector_end, F f) {
    vf sums[4] = {};
    int64_t k = 0;
    for (; k + 4 * VL <= vector_end; k += 4 * VL) {
        for (int i = 0; i < 4; i++) sums[i] += f(load(x + k + i * VL));
    }
    for (; k < vector_end; k += VL) sums[0] += f(load(x + k));
    return sum((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

inline void normalize_row(const gemm_args & p, const float * x, float * out) {
    const int64_t vector_end = p.depth / VL * VL;
    double mean = sum_row(x, vector_end, [](vf v) { return v; });
    for (int64_t k = vector_end; k < p.depth; k++) mean += x[k];
    const float center = static_cast<float>(mean / static_cast<double>(p.depth));
    double squares = sum_row(x, vector_end, [center](vf v) { return (v - center) * (v - center); });
    for (int64_t k = vector_end; k < p.depth; k++) squares += (x[k] - center) * (x[k] - center);
    const float scale =
        static_cast<float>(1 / std::sqrt(squares / static_cast<double>(p.depth) + p.norm_eps));
    for (int64_t k = 0; k < p.depth; k += VL) {
        const int n = static_cast<int>(std::min<int64_t>(VL, p.depth - k));
        const vf beta = p.norm_beta ? load_part(p.norm_beta + k, n) : vf{};
        store_part(out + k, (load_part(x + k, n) - center) * scale * load_part(p.norm_gamma + k, n) + beta,
                   n);
    }
}

// Reads row `row` into out[depth]; that of a convolution is gathered in groups of channels.
inline void read_row(const gemm_args & p, int64_t row, int64_t group, float * out) {
    if (p.conv.kernel) return gather_convolution(p, row, group, out);
    const float * x = p.x + row * p.ldx;
    if (p.norm_gamma) return normalize_row(p, x, out);
    if (!p.scale_shift && !p.silu) {
        std::memcpy(out, x, sizeof(float) * static_cast<size_t>(p.depth));
        return;
    }
    const float * scale = p.scale_shift ? p.scale_shift + row / p.rows_per_batch * 2 * p.depth : nullptr;
    for (int64_t k = 0; k < p.depth; k += VL) {
        const int n = static_cast<int>(std::min<int64_t>(VL, p.depth - k));
        vf v = load_part(x + k, n);
        if (scale) v = v * load_part(scale + k, n) + load_part(scale + p.depth + k, n);
        store_part(out + k, p.silu ? silu(v) : v, n);
    }
}

// Returns true if rows are read unchanged.
inline bool plain(const gemm_args & p) {
    return !p.conv.kernel && !p.norm_gamma && !p.scale_shift && !p.silu;
}

}  // namespace safelight::kernels::SAFELIGHT_ISA
