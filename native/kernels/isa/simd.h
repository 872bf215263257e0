#pragma once

// One vector type for each instruction set, from GCC's vector extensions: this file is compiled once for each
// of them, in a namespace of its own (SAFELIGHT_ISA), and the rest of the kernels reads the same for all.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace safelight::kernels::SAFELIGHT_ISA {

#if defined(__AVX512F__)
constexpr int VL = 16;  // floats in a vector
constexpr int NV = 2;   // vectors across a micro tile
constexpr int MR = 12;  // rows of a micro tile
#elif defined(__AVX2__)
constexpr int VL = 8, NV = 2, MR = 6;
#else
constexpr int VL = 4, NV = 2, MR = 8;
#endif
constexpr int NB = NV * VL;  // columns of a micro tile

typedef float vf __attribute__((vector_size(VL * 4)));
typedef int32_t vi __attribute__((vector_size(VL * 4)));
typedef float vf_unaligned __attribute__((vector_size(VL * 4), aligned(4), may_alias));

inline vf load(const float * p) {
    return *reinterpret_cast<const vf_unaligned *>(p);
}
inline void store(float * p, vf v) {
    *reinterpret_cast<vf_unaligned *>(p) = v;
}
// x - 0 is x for every x, and so a load that broadcasts; 0 + x is not (-0), and would be computed.
inline vf splat(float x) {
    return x - vf{};
}
inline vf select(vi mask, vf a, vf b) {
    return mask ? a : b;
}
inline vf max(vf a, vf b) {
    return a > b ? a : b;
}
inline vf min(vf a, vf b) {
    return a < b ? a : b;
}

inline vf load_part(const float * p, int n) {
    if (n == VL) [[likely]]
        return load(p);
    vf v = {};
    std::memcpy(&v, p, sizeof(float) * static_cast<size_t>(n));
    return v;
}
inline void store_part(float * p, vf v, int n) {
    if (n == VL) [[likely]]
        return store(p, v);
    std::memcpy(p, &v, sizeof(float) * static_cast<size_t>(n));
}
// Halves of a vector joined until one number is left; `join` is a sum or a maximum.
template <class F>
inline float reduce(vf v, F join) {
    typedef float pair __attribute__((vector_size(8)));
    typedef float four __attribute__((vector_size(16)));
    four x;
#if defined(__AVX512F__)
    typedef float eight __attribute__((vector_size(32)));
    eight low, high;
    std::memcpy(&low, &v, sizeof low);
    std::memcpy(&high, reinterpret_cast<const char *>(&v) + sizeof low, sizeof high);
    low = join(low, high);
#elif defined(__AVX2__)
    const vf low = v;
#endif
#if defined(__AVX2__)
    four other;
    std::memcpy(&x, &low, sizeof x);
    std::memcpy(&other, reinterpret_cast<const char *>(&low) + sizeof x, sizeof other);
    x = join(x, other);
#else
    x = v;
#endif
    const pair two = join(pair{x[0], x[1]}, pair{x[2], x[3]});
    return join(pair{two[0], 0}, pair{two[1], 0})[0];
}
inline float sum(vf v) {
    return reduce(v, [](auto a, auto b) { return a + b; });
}
inline float highest(vf v) {
    return reduce(v, [](auto a, auto b) { return a > b ? a : b; });
}

// e^x for x in [-87.3, 88.3] to about one unit in the last place: 2^n times a polynomial of the fraction
// (range reduction by Cody and Waite). NaN stays NaN.
inline vf exp_within(vf x) {
    const vf shifted = x * 1.44269504089f + 12582912.f;  // rounds to an integer in the low bits
    const vf n = shifted - 12582912.f;
    const vf r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    vf p = splat(1.9875691500e-4f);
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.f;
    vi bits;
    std::memcpy(&bits, &shifted, sizeof bits);
    bits = (bits - 0x4B400000 + 127) << 23;
    vf scale;
    std::memcpy(&scale, &bits, sizeof scale);
    return p * scale;
}
// e^x for x <= 0, or 1e-38 where it is less than that. (max takes its second argument where one is NaN.)
inline vf exp_negative(vf x) {
    return exp_within(max(splat(-87.3f), x));
}
inline vf exp(vf x) {
    return exp_within(min(splat(88.3f), max(splat(-87.3f), x)));
}
inline vf silu(vf x) {
    return x / (1.f + exp(-x));
}
inline vf quick_gelu(vf x) {
    return x / (1.f + exp(x * -1.702f));
}

// x/2 (1 + erf(x/sqrt 2)); erf by Abramowitz and Stegun 7.1.26, absolute error below 1.5e-7.
inline vf gelu(vf x) {
    const vf z = x * 0.70710678118f;
    const vf a = max(z, -z);
    const vf t = 1.f / (1.f + 0.3275911f * a);
    const vf poly = t * (0.254829592f +
                         t * (-0.284496736f + t * (1.421413741f + t * (-1.453152027f + t * 1.061405429f))));
    const vf e = 1.f - poly * exp(-a * a);
    return 0.5f * x * (1.f + select(z < 0.f, -e, e));
}

inline float half_to_float(uint16_t h) {
#if defined(__F16C__)
    return _cvtsh_ss(h);
#else
    const uint32_t sign = static_cast<uint32_t>(h & 0x8000) << 16, magnitude = h & 0x7FFF;
    uint32_t bits = sign | ((magnitude << 13) + 0x38000000);
    if (magnitude >= 0x7C00) bits = sign | 0x7F800000 | (magnitude << 13);
    float f;
    if (magnitude < 0x0400) {
        f = static_cast<float>(magnitude) * 5.9604644775390625e-8f;  // subnormal: units of 2^-24
        return sign ? -f : f;
    }
    std::memcpy(&f, &bits, sizeof f);
    return f;
#endif
}
inline void expand_f16(const uint16_t * from, float * to, int64_t count) {
    int64_t i = 0;
#if defined(__AVX512F__)
    for (; i + 16 <= count; i += 16) {
        const __m256i h = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(from + i));
        _mm512_storeu_ps(to + i, _mm512_cvtph_ps(h));
    }
#elif defined(__F16C__)
    for (; i + 8 <= count; i += 8) {
        const __m128i h = _mm_loadu_si128(reinterpret_cast<const __m128i *>(from + i));
        _mm256_storeu_ps(to + i, _mm256_cvtph_ps(h));
    }
#endif
    for (; i < count; i++) to[i] = half_to_float(from[i]);
}
inline void expand_bf16(const uint16_t * from, float * to, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        const uint32_t bits = static_cast<uint32_t>(from[i]) << 16;
        std::memcpy(to + i, &bits, sizeof bits);
    }
}

#if defined(__AVX2__)
inline __m256 load_eight(const float * p) {
    return _mm256_loadu_ps(p);
}
inline __m256 load_eight(const uint16_t * p) {  // f16
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i *>(p)));
}
template <class T>
inline void transpose_eight(const T * in, int64_t ld, float * out) {
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
#endif

inline float to_float(float x) {
    return x;
}
inline float to_float(uint16_t half) {
    return half_to_float(half);
}

// Turns `rows` <= NB rows of `count` floats or halves (stride ld) into columns: out[k * NB + row]; missing
// rows become zeros. What lies `ahead` numbers further is asked of memory meanwhile: it is read next.
template <class T>
inline void transpose_panel(const T * in, int64_t ld, int rows, int64_t count, float * out,
                            [[maybe_unused]] int64_t ahead = 0) {
    int64_t k = 0;
#if defined(__AVX2__)
    constexpr int64_t line = 64 / sizeof(T);
    if (rows == NB) {
        for (; k + 8 <= count; k += 8) {
            for (int n = 0; n < NB; n += 8) {
                if (ahead && k % line == 0) {
                    for (int i = 0; i < 8; i++) __builtin_prefetch(in + (n + i) * ld + k + ahead, 0, 2);
                }
                transpose_eight(in + n * ld + k, ld, out + k * NB + n);
            }
        }
    }
#endif
    for (; k < count; k++) {
        for (int n = 0; n < NB; n++) out[k * NB + n] = n < rows ? to_float(in[n * ld + k]) : 0.f;
    }
}

}  // namespace safelight::kernels::SAFELIGHT_ISA
