#pragma once

// Dot products of one row of weights with a few vectors, directly from the storage type. A product of few
// rows is bound by reading the weights, so expanded weights are not written to memory.

#include "kernels/isa/panel.h"

namespace safelight::kernels::SAFELIGHT_ISA {

// Load VL weights as floats.
struct f32_weights {
    static vf at(const void * row, int64_t k) { return load(static_cast<const float *>(row) + k); }
};
struct f16_weights {
    static vf at(const void * row, int64_t k) { return load(static_cast<const uint16_t *>(row) + k); }
};
struct bf16_weights {
    static vf at(const void * row, int64_t k) {
        const uint16_t * from = static_cast<const uint16_t *>(row) + k;
        vi bits;
#if defined(__AVX512F__)
        bits = reinterpret_cast<vi>(
            _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(from))));
#elif defined(__AVX2__)
        bits = reinterpret_cast<vi>(
            _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i *>(from))));
#else
        for (int i = 0; i < VL; i++) bits[i] = from[i];
#endif
        return reinterpret_cast<vf>(bits << 16);
    }
};

// Loads VL int8 numbers as floats. (GCC compiles __builtin_convertvector to scalar code.)
inline vf load_bytes(const char * from) {
#if defined(__AVX512F__)
    return reinterpret_cast<vf>(
        _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i *>(from)))));
#elif defined(__AVX2__)
    return reinterpret_cast<vf>(
        _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i *>(from)))));
#else
    vf v;
    for (int i = 0; i < VL; i++) v[i] = static_cast<float>(static_cast<int8_t>(from[i]));
    return v;
#endif
}

// out[r] = row · x[r] for r < R. `depth` must be a multiple of VL; x has the row stride ldx.
template <class W, int R>
inline void dot_vectors(const void * row, const float * x, int64_t ldx, int64_t depth, float * out) {
    constexpr int U = R == 1 ? 4 : 2;  // independent sums, to hide the latency of additions
    vf total[R][U] = {};
    int64_t k = 0;
    for (; k + U * VL <= depth; k += U * VL) {
        for (int u = 0; u < U; u++) {
            const vf w = W::at(row, k + u * VL);
            for (int r = 0; r < R; r++) total[r][u] += w * load(x + r * ldx + k + u * VL);
        }
    }
    for (; k < depth; k += VL) {
        const vf w = W::at(row, k);
        for (int r = 0; r < R; r++) total[r][0] += w * load(x + r * ldx + k);
    }
    for (int r = 0; r < R; r++) {
        for (int u = 1; u < U; u++) total[r][0] += total[r][u];
        out[r] = sum(total[r][0]);
    }
}

// Blocks of an f16 scale and 32 int8 numbers: ggml's q8_0, the only ggml type with this block size and bytes.
constexpr int64_t q8_block = 32, q8_bytes = 34;
inline bool is_q8(const weights & w) {
    return w.type == storage::blocks && w.block == q8_block && w.block_bytes == q8_bytes;
}
template <int R>
inline void dot_q8(const void * row, const float * x, int64_t ldx, int64_t depth, float * out) {
    vf total[R] = {};
    const char * from = static_cast<const char *>(row);
    for (int64_t k = 0; k < depth; k += q8_block, from += q8_bytes) {
        uint16_t half;
        std::memcpy(&half, from, sizeof half);
        vf part[R] = {};
        for (int i = 0; i < q8_block; i += VL) {
            const vf w = load_bytes(from + sizeof half + i);
            for (int r = 0; r < R; r++) part[r] += w * load(x + r * ldx + k + i);
        }
        const vf scale = splat(half_to_float(half));
        for (int r = 0; r < R; r++) total[r] += scale * part[r];
    }
    for (int r = 0; r < R; r++) out[r] = sum(total[r]);
}

template <int R>
inline void dot_row(const weights & w, int64_t row, const float * x, int64_t ldx, int64_t depth,
                    float * expanded, float * out) {
    const void * from = weights_at(w, row, 0);
    const int64_t vector_end = depth / VL * VL;
    switch (w.type) {
        case storage::f32:
            dot_vectors<f32_weights, R>(from, x, ldx, vector_end, out);
            break;
        case storage::f16:
            dot_vectors<f16_weights, R>(from, x, ldx, vector_end, out);
            break;
        case storage::bf16:
            dot_vectors<bf16_weights, R>(from, x, ldx, vector_end, out);
            break;
        case storage::blocks:
            if (is_q8(w)) return dot_q8<R>(from, x, ldx, depth, out);
            expand(w, row, 0, expanded, depth);
            dot_vectors<f32_weights, R>(expanded, x, ldx, vector_end, out);
    }
    if (vector_end == depth) return;
    float rest[VL];
    if (w.type == storage::blocks) {
        std::memcpy(rest, expanded + vector_end, sizeof(float) * static_cast<size_t>(depth - vector_end));
    } else {
        expand(w, row, vector_end, rest, depth - vector_end);
    }
    for (int r = 0; r < R; r++) {
        for (int64_t k = vector_end; k < depth; k++) out[r] += rest[k - vector_end] * x[r * ldx + k];
    }
}

// out[r] = row `row` of w · x[r] for 1 to few_rows vectors. `expanded` must have room for one row.
inline void dot_few(const weights & w, int64_t row, int64_t rows, const float * x, int64_t ldx, int64_t depth,
                    float * expanded, float * out) {
    using dot_fn = void (*)(const weights &, int64_t, const float *, int64_t, int64_t, float *, float *);
    static constexpr dot_fn table[few_rows] = {dot_row<1>, dot_row<2>, dot_row<3>, dot_row<4>};
    table[rows - 1](w, row, x, ldx, depth, expanded, out);
}

}  // namespace safelight::kernels::SAFELIGHT_ISA
