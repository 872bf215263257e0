#pragma once

// Transforms of Winograd F(4x4, 3x3) with the points 0, +-sqrt2/2, +-sqrt2 and infinity, for VL channels at
// once.

#include "kernels/isa/simd.h"

namespace safelight::kernels::SAFELIGHT_ISA {

constexpr float q = 1.41421356237309504880f;

inline void input_1d(const vf d[6], vf o[6]) {
    const vf a = d[4] - 2.f * d[2], b = q * (d[3] * .5f - d[1]);
    const vf c = d[4] - .5f * d[2], e = q * (d[3] - d[1] * .5f);
    o[0] = d[0] - 2.5f * d[2] + d[4];
    o[1] = a + b;
    o[2] = a - b;
    o[3] = c + e;
    o[4] = c - e;
    o[5] = d[1] - 2.5f * d[3] + d[5];
}
inline void output_1d(const vf m[6], vf o[4]) {
    const vf s1 = m[1] + m[2], d1 = m[1] - m[2], s2 = m[3] + m[4], d2 = m[3] - m[4];
    o[0] = m[0] + s1 + s2;
    o[1] = q * (.5f * d1 + d2);
    o[2] = .5f * s1 + 2.f * s2;
    o[3] = q * (.25f * d1 + 2.f * d2) + m[5];
}
inline void filter_1d(const vf g[3], vf o[6]) {
    const vf a = (-2.f / 3) * g[0] - (1.f / 3) * g[2], b = (q / 3) * g[1];
    const vf c = (1.f / 6) * g[0] + (1.f / 3) * g[2], d = (q / 6) * g[1];
    o[0] = g[0];
    o[1] = a - b;
    o[2] = a + b;
    o[3] = c + d;
    o[4] = c - d;
    o[5] = g[2];
}

// Transforms 6x6 pixels (rows of `width` vectors) to 36 vectors, `stride` apart.
inline void transform_tile(const float * pixels, int64_t width, float * to, int64_t stride) {
    vf d[6][6], o[6];
    for (int j = 0; j < 6; j++) {
        vf column[6];
        for (int i = 0; i < 6; i++) column[i] = load(pixels + (i * width + j) * VL);
        input_1d(column, o);
        for (int i = 0; i < 6; i++) d[i][j] = o[i];
    }
    for (int i = 0; i < 6; i++) {
        input_1d(d[i], o);
        for (int j = 0; j < 6; j++) store(to + (i * 6 + j) * stride, o[j]);
    }
}

// Transforms the nine taps of VL output channels (in rows of NB) to 36 vectors, `stride` apart.
inline void transform_filter(const float * taps, float * to, int64_t stride) {
    vf t[6][3], o[6];
    for (int j = 0; j < 3; j++) {
        const vf g[3] = {load(taps + j * NB), load(taps + (3 + j) * NB), load(taps + (6 + j) * NB)};
        filter_1d(g, o);
        for (int i = 0; i < 6; i++) t[i][j] = o[i];
    }
    for (int i = 0; i < 6; i++) {
        filter_1d(t[i], o);
        for (int j = 0; j < 6; j++) store(to + (i * 6 + j) * stride, o[j]);
    }
}

// Transforms 36 products, `stride` apart, along the columns to four rows of six; output_1d transforms the
// rows.
inline void output_columns(const float * products, int64_t stride, vf rows[4][6]) {
    vf o[4];
    for (int j = 0; j < 6; j++) {
        vf m[6];
        for (int i = 0; i < 6; i++) m[i] = load(products + (i * 6 + j) * stride);
        output_1d(m, o);
        for (int i = 0; i < 4; i++) rows[i][j] = o[i];
    }
}

}  // namespace safelight::kernels::SAFELIGHT_ISA
