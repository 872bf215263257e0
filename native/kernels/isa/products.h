#pragma once

// Number formats of the products of the kernels: f32, or bf16 with sums in f32. A kernel packs its operands
// in the format; two bf16 numbers of consecutive depth share an element.

#include "kernels/isa/simd.h"

namespace safelight::kernels::SAFELIGHT_ISA {

typedef uint32_t vu __attribute__((vector_size(VL * 4)));
typedef uint32_t vu_unaligned __attribute__((vector_size(VL * 4), aligned(4), may_alias));

// Rounds to bf16 (to nearest, ties to even), in the upper half of each lane. NaN stays NaN.
inline vu round_to_bf16(vf v) {
    const vu bits = reinterpret_cast<vu>(v);
    const vu rounded = bits + 0x7FFF + ((bits >> 16) & 1);
    const vu nan = bits | 0x400000;
    return (bits & 0x7FFFFFFF) > 0x7F800000 ? nan : rounded;
}
// Rounds two vectors to pairs: `first` in the lower halves, `second` in the upper ones.
inline vu bf16_pairs(vf first, vf second) {
    return (round_to_bf16(first) >> 16) | (round_to_bf16(second) & 0xFFFF0000u);
}

struct f32_products {
    using element = float;
    using vector = vf;
    static constexpr int depth = 1;  // numbers of consecutive depth in an element

    static vf load_vector(const float * p) { return load(p); }
    static vf broadcast(float x) { return splat(x); }
    static vf add(vf sum, vf x, vf y) { return sum + x * y; }
    // Stores VL numbers of a row.
    static void store_row(float * to, vf v) { store(to, v); }
    // Packs `count` numbers of a row.
    static void pack(const float * from, int64_t count, float * to) {
        std::memcpy(to, from, sizeof(float) * static_cast<size_t>(count));
    }
};

struct bf16_products {
    using element = uint32_t;
    using vector = vu;
    static constexpr int depth = 2;

    static vu load_vector(const uint32_t * p) { return *reinterpret_cast<const vu_unaligned *>(p); }
    static vu broadcast(uint32_t x) { return x - vu{}; }
    static vf add(vf sum, vu x, vu y) {
#if defined(__AVX512BF16__)
        return reinterpret_cast<vf>(_mm512_dpbf16_ps(
            reinterpret_cast<__m512>(sum), reinterpret_cast<__m512bh>(x), reinterpret_cast<__m512bh>(y)));
#else
        const vf second = reinterpret_cast<vf>(x & 0xFFFF0000u) * reinterpret_cast<vf>(y & 0xFFFF0000u);
        return sum + second + reinterpret_cast<vf>(x << 16) * reinterpret_cast<vf>(y << 16);
#endif
    }
    static void store_row(uint32_t * to, vf v) {
#if defined(__AVX512BF16__)
        const __m256bh halves = _mm512_cvtneps_pbh(reinterpret_cast<__m512>(v));
        std::memcpy(to, &halves, sizeof halves);
#else
        uint16_t halves[VL];
        const vu rounded = round_to_bf16(v) >> 16;
        for (int i = 0; i < VL; i++) halves[i] = static_cast<uint16_t>(rounded[i]);
        std::memcpy(to, halves, sizeof halves);
#endif
    }
    // Packs `count` numbers of a row as pairs; an odd number is completed by 0.
    static void pack(const float * from, int64_t count, uint32_t * to) {
        int64_t k = 0;
        for (; k + 2 * VL <= count; k += 2 * VL) {
#if defined(__AVX512BF16__)
            const __m512bh pairs = _mm512_cvtne2ps_pbh(reinterpret_cast<__m512>(load(from + k + VL)),
                                                       reinterpret_cast<__m512>(load(from + k)));
            std::memcpy(to + k / 2, &pairs, sizeof pairs);
#else
            store_row(to + k / 2, load(from + k));
            store_row(to + (k + VL) / 2, load(from + k + VL));
#endif
        }
        for (; k < count; k += 2) {
            const vf first = splat(from[k]), second = splat(k + 1 < count ? from[k + 1] : 0.f);
            to[k / 2] = bf16_pairs(first, second)[0];
        }
    }
    // Packs a panel [count][columns] of rows of consecutive depth as pairs [(count + 1) / 2][columns];
    // `columns` is a multiple of VL. The result may overwrite the panel.
    static void pack_panel(const float * from, int64_t count, int64_t columns, uint32_t * to) {
        for (int64_t k = 0; k < count; k += 2) {
            for (int64_t n = 0; n < columns; n += VL) {
                const vf first = load(from + k * columns + n);
                const vf second = k + 1 < count ? load(from + (k + 1) * columns + n) : vf{};
                const vu pairs = bf16_pairs(first, second);
                std::memcpy(to + k / 2 * columns + n, &pairs, sizeof pairs);
            }
        }
    }
};

}  // namespace safelight::kernels::SAFELIGHT_ISA
