#pragma once

// Number formats of the products of the kernels. A kernel packs its operands in a format as elements of 32
// bits: an f32, two bf16 numbers of consecutive depth, or four int8 numbers of consecutive depth.

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
#if defined(__AVX512BF16__)
    alignas(64) static constexpr uint16_t interleaved[2 * VL] = {0,  16, 1,  17, 2,  18, 3,  19, 4,  20, 5,
                                                                 21, 6,  22, 7,  23, 8,  24, 9,  25, 10, 26,
                                                                 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    const __m512bh halves =
        _mm512_cvtne2ps_pbh(reinterpret_cast<__m512>(second), reinterpret_cast<__m512>(first));
    return reinterpret_cast<vu>(
        _mm512_permutexvar_epi16(_mm512_load_si512(interleaved), reinterpret_cast<__m512i>(halves)));
#else
    return (round_to_bf16(first) >> 16) | (round_to_bf16(second) & 0xFFFF0000u);
#endif
}

// Products of f32 numbers.
struct f32_products {
    using element = float;
    using vector = vf;
    static constexpr int depth = 1;                         // numbers of consecutive depth in an element
    static constexpr int rows = MR;                         // of a micro tile
    static constexpr int group = 1;                         // channels of which a gathered tap is consecutive
    static constexpr int64_t max_panel_depth = 16384 / NB;  // numbers, of a panel of weights
    static constexpr bool scales_rows = false;

    // Returns the elements of `count` numbers of consecutive depth in a row of the left operand, and the rows
    // of elements in a panel of the right one.
    static int64_t elements(int64_t count) { return count; }
    static int64_t panel_rows(int64_t count) { return count; }
    // Returns the scale that the numbers of a row are divided by.
    static float row_scale(const float *, int64_t) { return 1; }
    static vf load_vector(const float * p) { return load(p); }
    static vf broadcast(float x) { return splat(x); }
    static vf add(vf sum, vf x, vf y) { return sum + x * y; }
    // Stores VL numbers of a row.
    static void store_row(float * to, vf v) { store(to, v); }
    // Packs `count` numbers of a row with the scale `row_scale`.
    static void pack(const float * from, int64_t count, float, float * to) {
        std::memcpy(to, from, sizeof(float) * static_cast<size_t>(count));
    }
    // A panel is its own packed form: `from` is `to`.
    static void pack_panel(const float *, int64_t, int64_t, int64_t, float *) {}
};

// Elements of several numbers.
struct packed_numbers {
    using element = uint32_t;
    using vector = vu;

    static vu load_vector(const uint32_t * p) { return *reinterpret_cast<const vu_unaligned *>(p); }
    static vu broadcast(uint32_t x) { return x - vu{}; }
};

// Products of bf16 numbers with sums in f32.
struct bf16_products : packed_numbers {
    static constexpr int depth = 2, rows = MR, group = 2;
    static constexpr int64_t max_panel_depth = 2 * f32_products::max_panel_depth;
    static constexpr bool scales_rows = false;

    static int64_t elements(int64_t count) { return (count + 1) / 2; }
    static int64_t panel_rows(int64_t count) { return (count + 1) / 2; }
    static float row_scale(const float *, int64_t) { return 1; }
    static vf add(vf sum, vu x, vu y) {
#if defined(__ARM_FEATURE_BF16_VECTOR_ARITHMETIC)
        return reinterpret_cast<vf>(vbfdotq_f32(reinterpret_cast<float32x4_t>(sum),
                                                vreinterpretq_bf16_u32(reinterpret_cast<uint32x4_t>(x)),
                                                vreinterpretq_bf16_u32(reinterpret_cast<uint32x4_t>(y))));
#elif defined(__AVX512BF16__)
        return reinterpret_cast<vf>(_mm512_dpbf16_ps(
            reinterpret_cast<__m512>(sum), reinterpret_cast<__m512bh>(x), reinterpret_cast<__m512bh>(y)));
#else
        const vf second = reinterpret_cast<vf>(x & 0xFFFF0000u) * reinterpret_cast<vf>(y & 0xFFFF0000u);
        return sum + second + reinterpret_cast<vf>(x << 16) * reinterpret_cast<vf>(y << 16);
#endif
    }
#if defined(__ARM_FEATURE_BF16_VECTOR_ARITHMETIC)
    // Two rows of two elements by two columns of two elements.
    static vf add_pairs(vf sum, vu rows, vu columns) {
        return reinterpret_cast<vf>(vbfmmlaq_f32(
            reinterpret_cast<float32x4_t>(sum), vreinterpretq_bf16_u32(reinterpret_cast<uint32x4_t>(rows)),
            vreinterpretq_bf16_u32(reinterpret_cast<uint32x4_t>(columns))));
    }
#endif
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
    static void pack(const float * from, int64_t count, float, uint32_t * to) {
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
    // The first and the second numbers of pairs.
    static vf first(vu pairs) {
        return reinterpret_cast<vf>(pairs << 16);
    }
    static vf second(vu pairs) {
        return reinterpret_cast<vf>(pairs & 0xFFFF0000u);
    }
    // Packs a panel [count][taps][columns] as pairs [(count + 1) / 2][taps][columns] of consecutive `count`;
    // `columns` is a multiple of VL. The result may overwrite the panel.
    static void pack_panel(const float * from, int64_t count, int64_t taps, int64_t columns, uint32_t * to) {
        const int64_t row = taps * columns;
        for (int64_t k = 0; k < count; k += 2) {
            for (int64_t n = 0; n < row; n += VL) {
                const vf odd = k + 1 < count ? load(from + (k + 1) * row + n) : vf{};
                const vu pairs = bf16_pairs(load(from + k * row + n), odd);
                std::memcpy(to + k / 2 * row + n, &pairs, sizeof pairs);
            }
        }
    }
};

// Products of int8 numbers with sums in int32. Rows of the left operand share a scale; each column of the
// right one has a scale per block of numbers, as ggml's q8_0. A block of the right operand is a row of scales
// (f16) and sums (int16, negative) of its columns and then block / 4 rows of numbers. Numbers of the left
// operand are stored plus 128, because the instructions multiply unsigned with signed numbers; the sums
// subtract that again.
struct int8_products : packed_numbers {
    static constexpr int depth = 4, rows = MR / 2;  // a micro tile has two kinds of sums
    static constexpr int group = 1;
    static constexpr int64_t max_panel_depth = 512;  // such a panel fits into the L1 cache
    static constexpr bool scales_rows = true;
    static constexpr int64_t block = 32, offset = 128, rows_of_block = block / depth + 1;

    static int64_t blocks(int64_t count) { return (count + block - 1) / block; }
    static int64_t elements(int64_t count) { return blocks(count) * (block / depth); }
    static int64_t panel_rows(int64_t count) { return blocks(count) * rows_of_block; }

    static vi add(vi sum, vu x, vu y) {
#if defined(__AVX512VNNI__)
        return reinterpret_cast<vi>(_mm512_dpbusd_epi32(
            reinterpret_cast<__m512i>(sum), reinterpret_cast<__m512i>(x), reinterpret_cast<__m512i>(y)));
#elif defined(__AVXVNNI__)
        return reinterpret_cast<vi>(_mm256_dpbusd_avx_epi32(
            reinterpret_cast<__m256i>(sum), reinterpret_cast<__m256i>(x), reinterpret_cast<__m256i>(y)));
#elif defined(__AVX512BW__)
        // Even and odd bytes as int16, whose products of pairs are summed without saturation.
        const __m512i a = reinterpret_cast<__m512i>(x), b = reinterpret_cast<__m512i>(y);
        const __m512i even = _mm512_madd_epi16(_mm512_and_si512(a, _mm512_set1_epi16(255)),
                                               _mm512_srai_epi16(_mm512_slli_epi16(b, 8), 8));
        const __m512i odd = _mm512_madd_epi16(_mm512_srli_epi16(a, 8), _mm512_srai_epi16(b, 8));
        return sum + reinterpret_cast<vi>(even) + reinterpret_cast<vi>(odd);
#elif defined(__AVX2__)
        const __m256i a = reinterpret_cast<__m256i>(x), b = reinterpret_cast<__m256i>(y);
        const __m256i even = _mm256_madd_epi16(_mm256_and_si256(a, _mm256_set1_epi16(255)),
                                               _mm256_srai_epi16(_mm256_slli_epi16(b, 8), 8));
        const __m256i odd = _mm256_madd_epi16(_mm256_srli_epi16(a, 8), _mm256_srai_epi16(b, 8));
        return sum + reinterpret_cast<vi>(even) + reinterpret_cast<vi>(odd);
#elif defined(__ARM_FEATURE_MATMUL_INT8)
        return reinterpret_cast<vi>(vusdotq_s32(reinterpret_cast<int32x4_t>(sum),
                                                vreinterpretq_u8_u32(reinterpret_cast<uint32x4_t>(x)),
                                                vreinterpretq_s8_u32(reinterpret_cast<uint32x4_t>(y))));
#else
        for (int byte = 0; byte < 4; byte++) {
            const vi a = reinterpret_cast<vi>((x >> (8 * byte)) & 255u);
            sum += a * (reinterpret_cast<vi>(y << (24 - 8 * byte)) >> 24);
        }
        return sum;
#endif
    }

#if defined(__ARM_FEATURE_MATMUL_INT8)
    static vi add_pairs(vi sum, vu rows, vu columns) {
        return reinterpret_cast<vi>(vusmmlaq_s32(
            reinterpret_cast<int32x4_t>(sum), vreinterpretq_u8_u32(reinterpret_cast<uint32x4_t>(rows)),
            vreinterpretq_s8_u32(reinterpret_cast<uint32x4_t>(columns))));
    }
#endif

    // Magnitudes are compared as integers, so that NaN is the largest: its row becomes NaN.
    static float row_scale(const float * row, int64_t count) {
        vi largest = {};
        for (int64_t k = 0; k < count; k += VL) {
            const vf v = load_part(row + k, static_cast<int>(std::min<int64_t>(VL, count - k)));
            const vi bits = reinterpret_cast<vi>(magnitude(v));
            largest = bits > largest ? bits : largest;
        }
        int32_t most = 0;
        for (int lane = 0; lane < VL; lane++) most = std::max<int32_t>(most, largest[lane]);
        float magnitude_of_row;
        std::memcpy(&magnitude_of_row, &most, sizeof most);
        return magnitude_of_row / 127;
    }
    // Packs `count` numbers of a row; the last block is completed by 0.
    static void pack(const float * from, int64_t count, float scale, uint32_t * to) {
        const float inverse = scale > 0 ? 1 / scale : 0;
        auto * bytes = reinterpret_cast<uint8_t *>(to);
        for (int64_t k = 0; k < blocks(count) * block; k += VL) {
            const auto part = static_cast<int>(std::clamp<int64_t>(count - k, 0, VL));
            store_bytes(bytes + k,
                        round_to_int(load_part(from + k, part) * inverse) + static_cast<int>(offset));
        }
    }
    // Packs a panel [count][columns] of rows of consecutive depth; `columns` is a multiple of VL. The result
    // must not overlap the panel.
    static void pack_panel(const float * from, int64_t count, int64_t, int64_t columns, uint32_t * to) {
        for (int64_t k = 0; k < count; k += block, to += rows_of_block * columns) {
            const int64_t numbers = std::min(block, count - k);
            for (int64_t n = 0; n < columns; n += VL) {
                vf largest = {};
                for (int64_t i = 0; i < numbers; i++)
                    largest = max(largest, magnitude(load(from + (k + i) * columns + n)));
                uint16_t halves[VL];
                for (int lane = 0; lane < VL; lane++) halves[lane] = float_to_half(largest[lane] / 127);
                // The numbers are divided by the exact scale and multiplied by its f16, as in ggml.
                const vf scale = largest / 127.f;
                const vf inverse = select(scale > 0.f, 1.f / scale, vf{});
                vi sum = {};
                for (int64_t i = 0; i < block; i += depth) {
                    vu four = {};
                    for (int64_t j = 0; j < depth && i + j < numbers; j++) {
                        const vi value = round_to_int(load(from + (k + i + j) * columns + n) * inverse);
                        sum += value;
                        four |= (reinterpret_cast<vu>(value) & 255u) << (8 * static_cast<unsigned>(j));
                    }
                    std::memcpy(to + (1 + i / depth) * columns + n, &four, sizeof four);
                }
                store_scales(to, columns, n, halves, sum);
            }
        }
    }
    // Stores the scales and the sums of VL columns from n on in the first row of a block.
    static void store_scales(uint32_t * row, int64_t columns, int64_t n, const uint16_t halves[VL], vi sum) {
        auto * scales = reinterpret_cast<uint16_t *>(row);
        std::memcpy(scales + n, halves, sizeof(uint16_t) * VL);
        for (int lane = 0; lane < VL; lane++) {
            const auto negative = static_cast<int16_t>(-sum[lane]);
            std::memcpy(scales + columns + n + lane, &negative, sizeof negative);
        }
    }
    // Load the scales and the first sums of the columns [n, n + VL) of a block.
    static vf scales(const uint32_t * row, int64_t n) {
        return load(reinterpret_cast<const uint16_t *>(row) + n);
    }
    static vi first_sums(const uint32_t * row, int64_t columns, int64_t n) {
        return load_shorts(reinterpret_cast<const int16_t *>(row) + columns + n) * static_cast<int>(offset);
    }
};

}  // namespace safelight::kernels::SAFELIGHT_ISA
