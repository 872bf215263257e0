// Matrix products over rows of activations: linear layers, 1x1 convolutions and, by gathering rows, all other
// convolutions. A block of rows is packed once (normalized, activated or gathered) and stays in cache;
// weights are expanded to f32 panel by panel, and each panel is used by all rows of the block.

#include <numeric>

#include "kernels/isa/dot.h"
#include "kernels/isa/functions.h"
#include "kernels/isa/isa.h"
#include "kernels/isa/micro.h"
#include "kernels/isa/operands.h"
#include "kernels/isa/read_row.h"
#include "kernels/scratch.h"

namespace safelight::kernels::SAFELIGHT_ISA {

namespace {

constexpr int64_t A_pad = 16;
constexpr int64_t prefetch_often_rows = 12 * MR;  // up to this number of rows, prefetch_often is used

// Operands in the number format F. Sizes of A and B count its elements.
template <class F>
struct block {
    using element = typename F::element;

    const gemm_args & p;
    int64_t first, rows;      // rows [first, first + rows)
    int64_t panels, KB;       // panels of the depth, and the depth of each in numbers
    int64_t taps;             // of a convolution; 1 for a linear layer
    const element * A;        // [panels][rows][elements of KB], or x if rows are read unchanged
    int64_t A_row, A_stride;  // row stride and panel stride
    float * scales;           // of the rows of A
    element * B;              // [panel rows of KB][NB]
    float * E;                // [NB][expand_row], expanded weights
    float * P;                // [KB][NB], expanded panel; B itself in f32

    // Returns the channels at depth k.
    int64_t channel(int64_t k) const { return k / taps; }
    // Returns the place in the packed weights of the panel of columns from n on, at depth k; null if they are
    // not packed.
    const element * packed(int64_t n, int64_t k) const {
        if constexpr (F::depth == 1) return nullptr;
        if (!p.packed) return nullptr;
        const bool gated = p.act == activation::geglu;
        const int64_t half = gated ? p.columns / 2 : p.columns, panels_of_half = (half + NB - 1) / NB;
        const int64_t panel = n < half ? n / NB : panels_of_half + (n - half) / NB;
        return packed_panel<F>(p.packed, panel, channel(p.depth), taps) +
               F::panel_rows(channel(k)) * taps * NB;
    }
    // Returns the operand of columns [n, n + columns) at depth [k, k + kn).
    const element * right(int64_t n, int columns, int64_t k, int64_t kn) const {
        if (const element * from = packed(n, k)) return from;
        const int64_t at = channel(k), count = std::min(channel(kn), channels() - at);
        pack_weights<F>(p.w, n, columns, at, count, taps, E, P, B);
        return B;
    }
    // Returns the channels of the weight; rows of convolutions are padded to whole elements.
    int64_t channels() const { return taps > 1 ? p.conv.cin : p.depth; }
};

// Packs rows of the left operand as panels out[panels][rows][KB + A_pad]. The padding avoids powers of two,
// so that rows do not share a cache set.
template <class F>
void pack_rows(const block<F> & b, float * row_buffer, typename F::element * out) {
    for (int64_t r = 0; r < b.rows; r++) {
        const float * row = row_buffer;
        if (plain(b.p)) {
            row = b.p.x + (b.first + r) * b.p.ldx;
        } else {
            read_row(b.p, b.first + r, F::group, row_buffer);
        }
        b.scales[r] = F::row_scale(row, b.p.depth);
        for (int64_t k = 0; k < b.panels; k++) {
            const int64_t n = std::min(b.KB, b.p.depth - k * b.KB);
            F::pack(row + k * b.KB, n, b.scales[r], out + k * b.A_stride + r * b.A_row);
        }
    }
}

// Returns the prefetcher for panel k of the same columns, or of the next columns.
template <class F>
weight_prefetcher next_panel(const block<F> & b, int64_t n, int64_t columns, int64_t k, bool same) {
    const int64_t row = same ? n : std::min(n + columns, b.p.columns),
                  rows = same ? columns : std::min<int64_t>(NB, b.p.columns - row);
    const int64_t depth = std::min(b.KB, b.p.depth - k * b.KB);
    const int64_t parts = b.rows <= prefetch_often_rows ? prefetch_count<F>(b.rows, F::elements(b.KB))
                                                        : prefetch_count<F>(b.rows);
    if (rows > 0) {
        if (const auto * from = b.packed(row, k * b.KB)) {
            const int64_t numbers = F::panel_rows(b.channel(depth)) * b.taps * NB;
            return {from, numbers * static_cast<int64_t>(sizeof *from), parts};
        }
    }
    return {b.p.w, row, rows, k * b.KB, b.taps * std::min(b.channel(depth), b.channels()), parts};
}

// C[rows, NB] (+)= panels [from, to) of output columns [n, n + NB).
template <class F>
void product(const block<F> & b, int64_t n, int64_t from, int64_t to, float * c) {
    const int columns = static_cast<int>(std::min<int64_t>(NB, b.p.columns - n));
    for (int64_t k = from; k < to; k++) {
        const int64_t kn = std::min(b.KB, b.p.depth - k * b.KB), depth = F::elements(kn);
        const typename F::element *x = b.A + k * b.A_stride, *w = b.right(n, columns, k * b.KB, kn);
        weight_prefetcher next = next_panel(b, n, columns, k + 1 < to ? k + 1 : from, k + 1 < to);
        if (columns <= VL && NV > 1) {
            multiply<1, false, F>(b.rows, x, b.A_row, w, NB, c, NB, depth, k > 0);
        } else if (b.rows <= prefetch_often_rows) {
            multiply<NV, true, F>(b.rows, x, b.A_row, w, NB, c, NB, depth, k > 0, &next);
        } else {
            multiply<NV, false, F>(b.rows, x, b.A_row, w, NB, c, NB, depth, k > 0, &next);
        }
    }
    if (F::scales_rows && to == b.panels) {
        for (int64_t r = 0; r < b.rows; r++) {
            for (int64_t v = 0; v < NB; v += VL) store(c + r * NB + v, load(c + r * NB + v) * b.scales[r]);
        }
    }
}

// Adds the second product of output columns [n, n + NB), in f32, to C[rows, NB].
template <class F>
void add_second_product(const block<F> & b, int64_t n, float * c) {
    const auto & s = b.p.second;
    const int columns = static_cast<int>(std::min<int64_t>(NB, b.p.columns - n));
    for (int64_t k = 0; k < s.depth; k += f32_products::max_panel_depth) {
        const int64_t kn = std::min(f32_products::max_panel_depth, s.depth - k);
        const float * a = s.x + b.first * s.ldx + k;
        load_panel(s.w, n, columns, k, kn, b.E, b.P);
        if (columns <= VL && NV > 1) {
            multiply<1>(b.rows, a, s.ldx, b.P, NB, c, NB, kn, true);
        } else {
            multiply<NV>(b.rows, a, s.ldx, b.P, NB, c, NB, kn, true);
        }
    }
}

inline vf activate(activation act, vf v) {
    switch (act) {
        case activation::silu:
            return silu(v);
        case activation::gelu:
            return gelu(v);
        case activation::quick_gelu:
            return quick_gelu(v);
        case activation::gelu_tanh:
            return gelu_tanh(v);
        default:
            return v;
    }
}

// Finishes and stores one vector of outputs at column n of row `row`; `v` and, for GEGLU, `gate` are the
// products.
inline void finish(const gemm_args & p, int64_t row, int64_t n, int part, vf v, vf gate) {
    if (p.bias) v += load_part(p.bias + n, part);
    if (p.add) v += load_part(p.add + row / p.rows_per_batch * p.columns + n, part);
    if (p.act == activation::geglu) {
        if (p.bias) gate += load_part(p.bias + p.columns / 2 + n, part);
        v *= gelu(gate);
    } else {
        v = activate(p.act, v);
    }
    if (p.residual) v += load_part(p.residual + row * p.ldy + n, part);
    store_part(p.y + row * p.ldy + n, rectified(p.rect, v, n, part), part);
}

// Product of at most few_rows rows, by dot products with rows of weights.
void gemm_few_rows(const gemm_args & p, const team & t) {
    const int64_t outputs = p.act == activation::geglu ? p.columns / 2 : p.columns,
                  groups = (outputs + NB - 1) / NB;
    const int64_t row_size = std::max(p.depth, p.second.depth) + A_pad;
    float * memory = scratch(static_cast<size_t>(p.rows * (p.depth + A_pad) + row_size));
    float *x = memory, *row = memory + p.rows * (p.depth + A_pad);
    for (int64_t r = 0; r < p.rows; r++) read_row(p, r, 1, x + r * (p.depth + A_pad));
    const auto dot = [&](int64_t column, float * out) {
        dot_few(p.w, column, p.rows, x, p.depth + A_pad, p.depth, row, out);
        if (p.second.depth == 0) return;
        float second[few_rows];
        dot_few(p.second.w, column, p.rows, p.second.x, p.second.ldx, p.second.depth, row, second);
        for (int64_t r = 0; r < p.rows; r++) out[r] += second[r];
    };
    for_each_item(t, groups, [&](int64_t group) {
        for (int64_t n = group * NB; n < std::min(outputs, (group + 1) * NB); n++) {
            float value[few_rows], gate[few_rows] = {};
            dot(n, value);
            if (p.act == activation::geglu) dot(n + outputs, gate);
            for (int64_t r = 0; r < p.rows; r++) finish(p, r, n, 1, splat(value[r]), splat(gate[r]));
        }
    });
}

// Returns the taps of a convolution whose channels are packed in groups, or 1: their numbers are then in the
// order of the filter.
template <class F>
int64_t taps_of(const gemm_args & p) {
    return F::group == 1 ? 1 : std::max<int64_t>(1, p.conv.kernel * p.conv.kernel);
}

// Partition of a product: rows into blocks, output columns into groups of NB, depth into panels.
struct partition {
    int64_t outputs, groups;     // output columns and groups; with GEGLU each column also has a gate
    int64_t block_rows, blocks;  // rows per block, and blocks
    int64_t panels, KB;
    int64_t A_row;   // elements of a packed row of a panel
    int64_t cached;  // panels of a block of rows that fit into the L2 cache together
    int64_t splits;  // items per block of rows

    template <class F>
    partition(const gemm_args & p, int threads, F) {
        outputs = p.act == activation::geglu ? p.columns / 2 : p.columns;
        groups = (outputs + NB - 1) / NB;
        // Weights are expanded once per block of rows, so blocks are large: at most 264 rows and, above 48
        // rows, 4 MiB of activations.
        const int64_t max_rows = std::clamp<int64_t>(F::depth * (1 << 20) / p.depth / MR * MR, 48, 264);
        blocks = (p.rows + max_rows - 1) / max_rows;
        block_rows = ((p.rows + blocks - 1) / blocks + MR - 1) / MR * MR;
        blocks = (p.rows + block_rows - 1) / block_rows;
        const int64_t most = F::max_panel_depth;
        panels = (p.depth + most - 1) / most;
        // Panels of equal depth: whole blocks of the storage type and, of formats with several numbers in an
        // element, whole channels and blocks.
        const int64_t taps = taps_of<F>(p);
        const int64_t unit =
            F::depth == 1 ? std::max<int64_t>(p.w.block, 16) : std::lcm(p.w.block, 32 * taps);
        KB = ((p.depth + panels - 1) / panels + unit - 1) / unit * unit;
        panels = (p.depth + KB - 1) / KB;
        A_row = F::elements(KB) + A_pad;
        cached = std::max<int64_t>(1, (640 << 10) / (4 * block_rows * A_row));
        splits = std::min<int64_t>(groups, std::max<int64_t>(1, (4 * threads + blocks - 1) / blocks));
    }
    size_t A_size(bool packs) const { return packs ? static_cast<size_t>(panels * block_rows * A_row) : 0; }
    // Returns the size of the products of an item: of all its groups if the depth is processed in several
    // passes.
    size_t C_size(const gemm_args & p) const {
        const int64_t stored = panels > cached ? (groups + splits - 1) / splits : 1;
        return static_cast<size_t>(stored * block_rows * NB * (p.act == activation::geglu ? 2 : 1));
    }
};

// Finishes whole vectors whose only terms are a bias, GELU of a gate and a residual: `value(v, gate)` is
// applied to the products with their biases.
template <class F, class V>
void finish_plainly(const block<F> & b, int64_t n, const float * c, bool gated, V value) {
    const gemm_args & p = b.p;
    for (int64_t v = 0; v < NB; v += VL) {
        const vf bias = p.bias ? load(p.bias + n + v) : vf{};
        const vf gate_bias = gated && p.bias ? load(p.bias + p.columns / 2 + n + v) : vf{};
        for (int64_t r = 0; r < b.rows; r++) {
            const float * product = c + r * NB + v;
            const vf gate = gated ? load(product + b.rows * NB) + gate_bias : vf{};
            const vf y = value(load(product) + bias, gate);
            const int64_t to = (b.first + r) * p.ldy + n + v;
            store(p.y + to, p.residual ? y + load(p.residual + to) : y);
        }
    }
}

template <class F>
void finish_group(const block<F> & b, int64_t n, int64_t outputs, const float * c) {
    const bool gated = b.p.act == activation::geglu;
    if (!b.p.add && !b.p.rect.on && n + NB <= outputs) {
        if (b.p.act == activation::none) return finish_plainly(b, n, c, false, [](vf v, vf) { return v; });
        if (gated) return finish_plainly(b, n, c, true, [](vf v, vf gate) { return v * gelu(gate); });
    }
    for (int64_t r = 0; r < b.rows; r++) {
        for (int64_t v = 0; v < NB && n + v < outputs; v += VL) {
            const int part = static_cast<int>(std::min<int64_t>(VL, outputs - n - v));
            finish(b.p, b.first + r, n + v, part, load(c + r * NB + v),
                   gated ? load(c + (b.rows + r) * NB + v) : vf{});
        }
    }
}

// Returns the arguments with the depth of gathered rows: whole elements of channels.
template <class F>
gemm_args padded(gemm_args p) {
    const int64_t taps = taps_of<F>(p);
    if (taps > 1) p.depth = F::elements(p.conv.cin) * F::depth * taps;
    return p;
}

template <class F>
void gemm_in(const gemm_args & given, const team & t) {
    using element = typename F::element;
    const gemm_args p = padded<F>(given);
    const int64_t taps = taps_of<F>(p);
    const bool gated = p.act == activation::geglu, packs = F::depth > 1 || !plain(p);
    const partition s(p, t.count, F{});
    const int64_t panel_depth = std::max(s.KB, std::min(f32_products::max_panel_depth, p.second.depth));
    const size_t A_size = s.A_size(packs), P_size = static_cast<size_t>(panel_depth * NB),
                 B_size = F::depth > 1 ? static_cast<size_t>(F::panel_rows(s.KB) * NB) : 0,
                 E_size = NB * expand_row, rows_size = static_cast<size_t>(s.block_rows);
    float * memory = scratch(A_size + P_size + B_size + E_size + s.C_size(p) + rows_size +
                             static_cast<size_t>(p.depth + VL));
    element * A = reinterpret_cast<element *>(memory);
    float * P = memory + A_size;
    element * B = reinterpret_cast<element *>(F::depth > 1 ? P + P_size : P);
    float * E = P + P_size + B_size;
    float * C = E + E_size;
    float * scales = C + s.C_size(p);
    float * row_buffer = scales + rows_size;
    int64_t packed = -1;

    for_each_item(t, s.blocks * s.splits, [&](int64_t item) {
        const int64_t block_index = item / s.splits, split = item % s.splits,
                      first = block_index * s.block_rows;
        const int64_t rows = std::min(s.block_rows, p.rows - first);
        block<F> b{p, first, rows, s.panels, s.KB, taps, A, s.A_row, rows * s.A_row, scales, B, E, P};
        if constexpr (F::depth == 1) {
            if (!packs) {
                b.A = p.x + first * p.ldx;
                b.A_row = p.ldx;
                b.A_stride = s.KB;
            }
        }
        if (packs && block_index != packed) {
            pack_rows(b, row_buffer, A);
            packed = block_index;
        }
        const int64_t begin = s.groups * split / s.splits, end = s.groups * (split + 1) / s.splits;
        const int64_t each_C = b.rows * NB * (gated ? 2 : 1);
        for (int64_t k = 0; k < s.panels; k += s.cached) {
            const int64_t k_end = std::min(s.panels, k + s.cached);
            for (int64_t group = begin; group < end; group++) {
                if (cancelled(t)) return;
                float * c = C + (s.panels > s.cached ? group - begin : 0) * each_C;
                product(b, group * NB, k, k_end, c);
                if (gated) product(b, group * NB + s.outputs, k, k_end, c + b.rows * NB);
                if (k_end != s.panels) continue;
                add_second_product(b, group * NB, c);
                if (gated) add_second_product(b, group * NB + s.outputs, c + b.rows * NB);
                finish_group(b, group * NB, s.outputs, c);
            }
        }
    });
}

}  // namespace

void gemm(const gemm_args & p, const team & t) {
    if (p.rows <= few_rows) return gemm_few_rows(p, t);
    switch (p.precision) {
        case precision::f32:
            return gemm_in<f32_products>(p, t);
        case precision::bf16:
            return gemm_in<bf16_products>(p, t);
        case precision::int8:
            return gemm_in<int8_products>(p, t);
    }
}

}  // namespace safelight::kernels::SAFELIGHT_ISA
