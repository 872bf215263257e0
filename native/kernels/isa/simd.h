#pragma once

// Vector types of each instruction set, by GCC's vector extensions. The kernels are compiled once per
// instruction set, each time in another namespace (SAFELIGHT_ISA), so that the remaining code is the same for
// all of them.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <utility>

#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(SAFELIGHT_NEON)
#include <arm_neon.h>
#endif

namespace safelight::kernels::SAFELIGHT_ISA {

#if defined(__AVX512F__)
constexpr int VL = 16;  // floats per vector
constexpr int NV = 2;   // vectors per row of a micro tile
constexpr int MR = 12;  // rows of a micro tile
#elif defined(__AVX2__)
constexpr int VL = 8, NV = 2, MR = 6;
#elif defined(SAFELIGHT_NEON)
constexpr int VL = 4, NV = 2, MR = 12;  // 32 registers
#else
constexpr int VL = 4, NV = 2, MR = 6;  // 16 registers, as in SSE
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
// x - 0 equals x for every x, so it compiles to a broadcast; 0 + x differs for -0 and would be computed.
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
// Reduces a vector to one number by combining its halves repeatedly; `join` is a sum or a maximum. (Halves
// are taken by instructions: GCC keeps a vector that is copied by memcpy in memory, also in the loop before.)
template <class F>
inline float reduce(vf v, F join) {
    typedef float pair __attribute__((vector_size(8)));
    typedef float four __attribute__((vector_size(16)));
#if defined(__AVX512F__)
    typedef float eight __attribute__((vector_size(32)));
    const eight low = join(reinterpret_cast<eight>(_mm512_castps512_ps256(reinterpret_cast<__m512>(v))),
                           reinterpret_cast<eight>(_mm512_extractf32x8_ps(reinterpret_cast<__m512>(v), 1)));
#elif defined(__AVX2__)
    const vf low = v;
#endif
#if defined(__AVX2__)
    const four x = join(reinterpret_cast<four>(_mm256_castps256_ps128(reinterpret_cast<__m256>(low))),
                        reinterpret_cast<four>(_mm256_extractf128_ps(reinterpret_cast<__m256>(low), 1)));
#else
    const four x = v;
#endif
    const pair two = join(pair{x[0], x[1]}, pair{x[2], x[3]});
    return join(pair{two[0], 0}, pair{two[1], 0})[0];
}
inline float sum(vf v) {
    return reduce(v, [](auto a, auto b) { return a + b; });
}
inline float max_element(vf v) {
    return reduce(v, [](auto a, auto b) { return a > b ? a : b; });
}

inline vf magnitude(vf v) {
    return reinterpret_cast<vf>(reinterpret_cast<vi>(v) & 0x7FFFFFFF);
}
// Rounds numbers below 2^31 to the nearest integers, ties to even.
inline vi round_to_int(vf v) {
#if defined(__AVX512F__)
    return reinterpret_cast<vi>(_mm512_cvtps_epi32(reinterpret_cast<__m512>(v)));
#elif defined(__AVX2__)
    return reinterpret_cast<vi>(_mm256_cvtps_epi32(reinterpret_cast<__m256>(v)));
#elif defined(SAFELIGHT_NEON)
    return reinterpret_cast<vi>(vcvtnq_s32_f32(reinterpret_cast<float32x4_t>(v)));
#else
    vi rounded;
    for (int i = 0; i < VL; i++) rounded[i] = v[i] == v[i] ? static_cast<int32_t>(std::nearbyint(v[i])) : 0;
    return rounded;
#endif
}
inline vf to_floats(vi v) {
#if defined(__AVX512F__)
    return reinterpret_cast<vf>(_mm512_cvtepi32_ps(reinterpret_cast<__m512i>(v)));
#elif defined(__AVX2__)
    return reinterpret_cast<vf>(_mm256_cvtepi32_ps(reinterpret_cast<__m256i>(v)));
#else
    return __builtin_convertvector(v, vf);
#endif
}
// Loads VL int16 numbers.
inline vi load_shorts(const int16_t * from) {
#if defined(__AVX512F__)
    return reinterpret_cast<vi>(
        _mm512_cvtepi16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(from))));
#elif defined(__AVX2__)
    return reinterpret_cast<vi>(
        _mm256_cvtepi16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i *>(from))));
#else
    vi v;
    for (int i = 0; i < VL; i++) v[i] = from[i];
    return v;
#endif
}
// Stores VL numbers from 0 to 255 as bytes.
inline void store_bytes(uint8_t * to, vi v) {
#if defined(__AVX512F__)
    _mm_storeu_si128(reinterpret_cast<__m128i *>(to), _mm512_cvtepi32_epi8(reinterpret_cast<__m512i>(v)));
#else
    for (int i = 0; i < VL; i++) to[i] = static_cast<uint8_t>(v[i]);
#endif
}

inline uint16_t float_to_half(float x) {
#if defined(__F16C__)
    return static_cast<uint16_t>(_cvtss_sh(x, _MM_FROUND_TO_NEAREST_INT));
#elif defined(SAFELIGHT_NEON)
    return vget_lane_u16(vreinterpret_u16_f16(vcvt_f16_f32(vdupq_n_f32(x))), 0);
#else
    // Rounds to nearest, ties to even: multiplying by a power of two and adding a number moves the last bit
    // of the half to the last bit of a float.
    uint32_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    const uint32_t sign = bits >> 16 & 0x8000, magnitude_bits = bits & 0x7FFFFFFF;
    if (magnitude_bits > 0x7F800000) return static_cast<uint16_t>(sign | 0x7E00);
    if (magnitude_bits >= 0x477FF000) return static_cast<uint16_t>(sign | 0x7C00);
    if (magnitude_bits < 0x38800000) {  // subnormal: units of 2^-24
        const float units = std::fabs(x) * 16777216.f;
        return static_cast<uint16_t>(sign | static_cast<uint32_t>(std::nearbyint(units)));
    }
    const uint32_t rounded = magnitude_bits + 0xFFF + (magnitude_bits >> 13 & 1);
    return static_cast<uint16_t>(sign | ((rounded - 0x38000000) >> 13));
#endif
}
inline float half_to_float(uint16_t h) {
#if defined(__F16C__)
    return _cvtsh_ss(h);
#elif defined(SAFELIGHT_NEON)
    return vgetq_lane_f32(vcvt_f32_f16(vreinterpret_f16_u16(vdup_n_u16(h))), 0);
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
// Loads VL halves as floats.
inline vf load(const uint16_t * halves) {
#if defined(__AVX512F__)
    return reinterpret_cast<vf>(
        _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(halves))));
#elif defined(__AVX2__)
    return reinterpret_cast<vf>(_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i *>(halves))));
#elif defined(SAFELIGHT_NEON)
    return reinterpret_cast<vf>(vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(halves))));
#else
    vf v;
    for (int i = 0; i < VL; i++) v[i] = half_to_float(halves[i]);
    return v;
#endif
}

}  // namespace safelight::kernels::SAFELIGHT_ISA
