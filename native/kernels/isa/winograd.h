#pragma once

// Transforms of Winograd's convolutions with 3x3 filters, for VL channels at once.

#include "kernels/isa/simd.h"

namespace safelight::kernels::SAFELIGHT_ISA {

// F(4x4, 3x3) with the points 0, +-sqrt2/2, +-sqrt2 and infinity.
struct winograd4 {
    static constexpr int out = 4, in = 6, points = in * in;  // sides of tiles of outputs and inputs
    static constexpr float q = 1.41421356237309504880f;

    static void input(const vf d[6], vf o[6]) {
        const vf a = d[4] - 2.f * d[2], b = q * (d[3] * .5f - d[1]);
        const vf c = d[4] - .5f * d[2], e = q * (d[3] - d[1] * .5f);
        o[0] = d[0] - 2.5f * d[2] + d[4];
        o[1] = a + b;
        o[2] = a - b;
        o[3] = c + e;
        o[4] = c - e;
        o[5] = d[1] - 2.5f * d[3] + d[5];
    }
    static void output(const vf m[6], vf o[4]) {
        const vf s1 = m[1] + m[2], d1 = m[1] - m[2], s2 = m[3] + m[4], d2 = m[3] - m[4];
        o[0] = m[0] + s1 + s2;
        o[1] = q * (.5f * d1 + d2);
        o[2] = .5f * s1 + 2.f * s2;
        o[3] = q * (.25f * d1 + 2.f * d2) + m[5];
    }
    static void filter(const vf g[3], vf o[6]) {
        const vf a = (-2.f / 3) * g[0] - (1.f / 3) * g[2], b = (q / 3) * g[1];
        const vf c = (1.f / 6) * g[0] + (1.f / 3) * g[2], d = (q / 6) * g[1];
        o[0] = g[0];
        o[1] = a - b;
        o[2] = a + b;
        o[3] = c + d;
        o[4] = c - d;
        o[5] = g[2];
    }
};

// F(2x2, 3x3) with the points 0, 1, -1 and infinity, with which bf16 loses less precision.
struct winograd2 {
    static constexpr int out = 2, in = 4, points = in * in;

    static void input(const vf d[4], vf o[4]) {
        o[0] = d[0] - d[2];
        o[1] = d[1] + d[2];
        o[2] = d[2] - d[1];
        o[3] = d[3] - d[1];
    }
    static void output(const vf m[4], vf o[2]) {
        o[0] = m[0] + m[1] + m[2];
        o[1] = m[1] - m[2] + m[3];
    }
    static void filter(const vf g[3], vf o[4]) {
        const vf sum = .5f * (g[0] + g[2]), middle = .5f * g[1];
        o[0] = g[0];
        o[1] = sum + middle;
        o[2] = sum - middle;
        o[3] = g[2];
    }
};

// Transforms a row of `count` overlapping tiles of pixels (rows of `width` vectors) to a vector per point, in
// the number format F. Tiles are `tile_stride` elements apart in the result, points `point_stride`.
template <class W, class F>
inline void transform_tiles(const float * pixels, int64_t width, int64_t count, typename F::element * to,
                            int64_t tile_stride, int64_t point_stride) {
    vf columns[W::in][W::in], o[W::in];  // columns of pixels, transformed
    const auto transform_column = [&](int64_t x, vf transformed[W::in]) {
        vf column[W::in];
        for (int i = 0; i < W::in; i++) column[i] = load(pixels + (i * width + x) * VL);
        W::input(column, transformed);
    };
    for (int j = 0; j < 2; j++) transform_column(j, columns[j]);
    for (int64_t tile = 0; tile < count; tile++, to += tile_stride) {
        for (int j = 2; j < W::in; j++) transform_column(tile * W::out + j, columns[j]);
        for (int i = 0; i < W::in; i++) {
            vf line[W::in];
            for (int j = 0; j < W::in; j++) line[j] = columns[j][i];
            W::input(line, o);
            for (int j = 0; j < W::in; j++) F::store_row(to + (i * W::in + j) * point_stride, o[j]);
        }
        for (int i = 0; i < W::in; i++) {
            columns[0][i] = columns[W::out][i];
            columns[1][i] = columns[W::out + 1][i];
        }
    }
}

// Transforms the nine taps of VL output channels, which `tap(index)` returns, to a vector per point.
template <class W, class T>
inline void transform_filter(T tap, vf to[W::points]) {
    vf t[W::in][3], o[W::in];
    for (int j = 0; j < 3; j++) {
        const vf g[3] = {tap(j), tap(3 + j), tap(6 + j)};
        W::filter(g, o);
        for (int i = 0; i < W::in; i++) t[i][j] = o[i];
    }
    for (int i = 0; i < W::in; i++) W::filter(t[i], to + i * W::in);
}

// Transforms the products of the points, in rows of NB, along the columns; W::output transforms the rows.
template <class W>
inline void output_columns(const float * products, vf rows[W::out][W::in]) {
    vf o[W::out];
    for (int j = 0; j < W::in; j++) {
        vf m[W::in];
        for (int i = 0; i < W::in; i++) m[i] = load(products + (i * W::in + j) * NB);
        W::output(m, o);
        for (int i = 0; i < W::out; i++) rows[i][j] = o[i];
    }
}

}  // namespace safelight::kernels::SAFELIGHT_ISA
