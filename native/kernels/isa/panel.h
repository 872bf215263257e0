#pragma once

// Loads weights from their storage type into transposed f32 panels for a product.

#include "kernels/isa/simd.h"
#include "kernels/isa/weight_prefetcher.h"
#include "kernels/kernels.h"

namespace safelight::kernels::SAFELIGHT_ISA {

inline void expand_f16(const uint16_t * from, float * to, int64_t count) {
    int64_t i = 0;
    for (; i + VL <= count; i += VL) store(to + i, load(from + i));
    for (; i < count; i++) to[i] = half_to_float(from[i]);
}
inline void expand_bf16(const uint16_t * from, float * to, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        const uint32_t bits = static_cast<uint32_t>(from[i]) << 16;
        std::memcpy(to + i, &bits, sizeof bits);
    }
}

// Transposes a square of floats or halves (row stride ld) into rows of NB floats: 8x8 with AVX2, otherwise
// 4x4.
#if defined(__AVX2__)
constexpr int square = 8;
inline __m256 load_eight(const float * p) {
    return _mm256_loadu_ps(p);
}
inline __m256 load_eight(const uint16_t * p) {  // f16
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i *>(p)));
}
template <class T>
inline void transpose_square(const T * in, int64_t ld, float * out) {
    __m256 r[8], t[8];
    for (int i = 0; i < 8; i++) r[i] = load_eight(in + i * ld);
    for (int i = 0; i < 4; i++) {
        t[2 * i] = _mm256_unpacklo_ps(r[2 * i], r[2 * i + 1]);
        t[2 * i + 1] = _mm256_unpackhi_ps(r[2 * i], r[2 * i + 1]);
    }
    for (int i = 0; i < 2; i++) {
        r[4 * i] = _mm256_shuffle_ps(t[4 * i], t[4 * i + 2], 0x44);
        r[4 * i + 1] = _mm256_shuffle_ps(t[4 * i], t[4 * i + 2], 0xEE);
        r[4 * i + 2] = _mm256_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0x44);
        r[4 * i + 3] = _mm256_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0xEE);
    }
    for (int i = 0; i < 4; i++) {
        _mm256_storeu_ps(out + i * NB, _mm256_permute2f128_ps(r[i], r[i + 4], 0x20));
        _mm256_storeu_ps(out + (i + 4) * NB, _mm256_permute2f128_ps(r[i], r[i + 4], 0x31));
    }
}
#else
constexpr int square = 4;
template <class T>
inline void transpose_square(const T * in, int64_t ld, float * out) {
    const vf a = load(in), b = load(in + ld), c = load(in + 2 * ld), d = load(in + 3 * ld);
    const vf ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5),
             ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
    const vf cd_low = __builtin_shufflevector(c, d, 0, 4, 1, 5),
             cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
    store(out, __builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5));
    store(out + NB, __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7));
    store(out + 2 * NB, __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5));
    store(out + 3 * NB, __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7));
}
#endif

inline float to_float(float x) {
    return x;
}
inline float to_float(uint16_t half) {
    return half_to_float(half);
}

// Transposes `rows` <= NB rows of `count` floats or halves (row stride ld): out[k * NB + row]. Missing rows
// are filled with zeros.
template <class T>
inline void transpose_panel(const T * in, int64_t ld, int rows, int64_t count, float * out) {
    int64_t k = 0;
    if (rows == NB) {
        for (; k + square <= count; k += square) {
            for (int n = 0; n < NB; n += square) {
                transpose_square(in + n * ld + k, ld, out + k * NB + n);
            }
        }
    }
    for (; k < count; k++) {
        for (int n = 0; n < NB; n++) out[k * NB + n] = n < rows ? to_float(in[n * ld + k]) : 0.f;
    }
}

inline void expand(const weights & w, int64_t row, int64_t column, float * out, int64_t count) {
    const void * from = weights_at(w, row, column);
    switch (w.type) {
        case storage::f32:
            std::memcpy(out, from, sizeof(float) * static_cast<size_t>(count));
            break;
        case storage::f16:
            expand_f16(static_cast<const uint16_t *>(from), out, count);
            break;
        case storage::bf16:
            expand_bf16(static_cast<const uint16_t *>(from), out, count);
            break;
        case storage::blocks:
            w.expand(from, out, count);
            break;
    }
}

// Loads rows [row, row + rows), rows <= NB, and columns [column, column + count) of w as out[count][NB];
// missing rows are filled with zeros. `expanded` [NB][expand_row] is a buffer for types that must be expanded
// before they are transposed.
constexpr int64_t expand_columns = 256;
constexpr int64_t expand_row = expand_columns + 16;  // not a power of two, to avoid cache set conflicts
inline void load_panel(const weights & w, int64_t row, int rows, int64_t column, int64_t count,
                       float * expanded, float * out) {
    if (w.type == storage::f32 || w.type == storage::f16) {
        const void * from = weights_at(w, row, column);
        const int64_t ld = static_cast<int64_t>(w.row_bytes / w.block_bytes);
        if (w.type == storage::f32) {
            transpose_panel(static_cast<const float *>(from), ld, rows, count, out);
        } else {
            transpose_panel(static_cast<const uint16_t *>(from), ld, rows, count, out);
        }
        return;
    }
    for (int64_t k = 0; k < count; k += expand_columns) {
        const int64_t n = std::min(expand_columns, count - k);
        for (int r = 0; r < rows; r++) expand(w, row + r, column + k, expanded + r * expand_row, n);
        transpose_panel(expanded, expand_row, rows, n, out + k * NB);
    }
}

}  // namespace safelight::kernels::SAFELIGHT_ISA
