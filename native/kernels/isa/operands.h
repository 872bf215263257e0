#pragma once

// Packs weights as right operands of products, in panels of NB output columns.

#include "kernels/isa/dot.h"
#include "kernels/isa/panel.h"
#include "kernels/isa/products.h"

namespace safelight::kernels::SAFELIGHT_ISA {

// Returns panel `panel` of weights that pack_panel packed with `channels` and `taps`.
template <class F>
inline const typename F::element * packed_panel(const void * packed, int64_t panel, int64_t channels,
                                                int64_t taps) {
    return static_cast<const typename F::element *>(packed) + panel * F::panel_rows(channels) * taps * NB;
}

// Copies rows [row, row + rows) and columns [column, column + count) of q8_0 weights as blocks of
// int8_products.
inline void copy_q8(const weights & w, int64_t row, int rows, int64_t column, int64_t count, uint32_t * to) {
    constexpr int64_t each = int8_products::rows_of_block;
    for (int64_t k = 0; k < count; k += q8_block, to += each * NB) {
        for (int64_t n = 0; n < NB; n += VL) {
            uint16_t halves[VL] = {};
            vi sums = {};
            for (int64_t lane = 0; lane < VL; lane++) {
                uint32_t fours[q8_block / 4] = {};
                if (n + lane < rows) {
                    const auto * from = static_cast<const char *>(weights_at(w, row + n + lane, column + k));
                    std::memcpy(&halves[lane], from, sizeof halves[lane]);
                    std::memcpy(fours, from + sizeof halves[lane], sizeof fours);
                    int32_t sum = 0;
                    for (int64_t i = 0; i < q8_block; i++)
                        sum += static_cast<int8_t>(from[static_cast<int64_t>(sizeof halves[lane]) + i]);
                    sums[lane] = sum;
                }
                for (int64_t i = 0; i < q8_block / 4; i++) to[(1 + i) * NB + n + lane] = fours[i];
            }
            int8_products::store_scales(to, NB, n, halves, sums);
        }
    }
}

// Packs rows [row, row + rows), rows <= NB, and channels [channel, channel + count) of w in the format F; a
// row is [channels, taps]. Missing rows are filled with zeros. `expanded` [NB][expand_row] and `panel` [count
// * taps][NB] are buffers; for formats of pairs, `panel` may be `out`.
template <class F>
inline void pack_weights(const weights & w, int64_t row, int rows, int64_t channel, int64_t count,
                         int64_t taps, float * expanded, float * panel, typename F::element * out) {
    if constexpr (F::scales_rows) {
        if (is_q8(w)) return copy_q8(w, row, rows, channel, count, out);
    }
    load_panel(w, row, rows, channel * taps, count * taps, expanded, panel);
    F::pack_panel(panel, count, taps, NB, out);
}

}  // namespace safelight::kernels::SAFELIGHT_ISA
