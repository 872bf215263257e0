#pragma once

// Vector types of each instruction set, by GCC's vector extensions. The kernels are compiled once per
// instruction set, each time in another namespace (SAFELIGHT_ISA), so that the remaining code is the same for
// all of them.

#include <algorithm>
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
// Reduces a vector to one number by combining its halves repeatedly; `join` is a sum or a maximum.
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
inline float max_element(vf v) {
    return reduce(v, [](auto a, auto b) { return a > b ? a : b; });
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
