// Winograd's convolutions (Lavin and Gray 2015): y = A^T [(G g G^T) . (B^T d B)] A over tiles of outputs, as
// small matrix products, one per point of the transforms. F(4x4) (with the points of Alam et al. 2022) needs
// 36 instead of 144 multiplications per tile and pair of channels, F(2x2) 16 instead of 36. A block of tiles
// is transformed, multiplied and transformed back while it is in cache. Filters are expanded and transformed
// panel by panel, so that the transformed filters, which are several times as large, are never stored as a
// whole.

#include <cmath>

#include "kernels/isa/functions.h"
#include "kernels/isa/isa.h"
#include "kernels/isa/micro.h"
#include "kernels/isa/operands.h"
#include "kernels/isa/winograd.h"
#include "kernels/scratch.h"

namespace safelight::kernels::SAFELIGHT_ISA {

namespace {

// Numbers of tiles per block, and per row of a block.
template <class W, class F>
constexpr int64_t max_tiles = W::out == 2     ? 192
                              : F::depth == 1 ? 96
                                              : 144;
template <class W>
constexpr int64_t max_across = 64 / W::out;

// A rectangle of tiles of the algorithm W, with products in the number format F. The maps of a batch are
// stacked vertically to [rows of tiles, tiles per row].
template <class W, class F>
struct block {
    using element = typename F::element;
    static constexpr int64_t KB = 64 * F::depth;   // input channels per filter panel
    static constexpr int64_t row = KB / F::depth;  // elements of a panel of input channels
    // Not powers of two: streams with a stride of 4096 would share one cache set.
    static constexpr int64_t U_stride = row * NB + 16;
    static constexpr int64_t M_row = W::points * NB + 16;

    const conv3x3_args & p;
    int64_t tiles_y;       // rows of tiles per map
    int64_t top, left;     // position of the first tile
    int64_t across, down;  // tiles per row, and rows
    int64_t count;         // tiles
    int64_t panels;        // panels of input channels
    element * V;           // [panels][points][count][row] transformed input
    element * U;           // [points][row][NB] transformed filters
    float * M;             // [count][points][NB] products
    float * filters;       // [NB][expand_row] expanded filters, then [KB * 9][NB]
    float * strip;         // [W::in][across * W::out + 2][VL] pixels

    int64_t V_stride() const { return count * row + 16; }
};

struct tile_position {
    int64_t batch, y, x;
};
// Returns the position of the first tile in row `row` of a block.
template <class W, class F>
tile_position row_position(const block<W, F> & b, int64_t row) {
    const int64_t y = b.top + row;
    return {y / b.tiles_y, y % b.tiles_y * W::out, b.left * W::out};
}

// The map that contains channel c, from that channel on.
channel_part map_at(const conv3x3_args & p, int64_t c) {
    if (p.part_count == 0) return {p.x + c, p.cin};
    int i = 0;
    for (; i + 1 < p.part_count && c >= p.parts[i].channels; i++) c -= p.parts[i].channels;
    return {p.parts[i].x + c, p.parts[i].channels};
}

// Returns the position in [0, size) of a position outside of a map that wraps around.
inline int64_t wrapped(int64_t at, int64_t size) {
    const int64_t rest = at % size;
    return rest < 0 ? rest + size : rest;
}

// Reads rows [from, W::in) of the strip of pixels under a row of tiles, for VL channels from c on, normalized
// and activated as requested. Outside of the map are zeros, or its opposite edges. Reads each pixel once
// although tiles overlap.
template <class W, class F>
void read_strip(const block<W, F> & b, tile_position at, int64_t c, int n, int from) {
    const conv3x3_args & p = b.p;
    vf scale = splat(1), shift = {};
    if (p.scale_shift) {
        const float * s = p.scale_shift + at.batch * 2 * p.cin + c;
        scale = load_part(s, n);
        shift = load_part(s + p.cin, n);
    }
    const channel_part in = map_at(p, c);
    const int64_t width = b.across * W::out + 2, begin = std::max<int64_t>(0, 1 - at.x),
                  end = std::min(width, p.width + 1 - at.x);
    for (int i = from; i < W::in; i++) {
        int64_t y = at.y + i - 1;
        float * to = b.strip + i * width * VL;
        if (p.wraps) y = wrapped(y, p.height);
        if (y < 0 || y >= p.height) {
            std::memset(to, 0, sizeof(float) * static_cast<size_t>(width * VL));
            continue;
        }
        const float * row = in.x + (at.batch * p.height + y) * p.width * in.channels;
        for (int64_t x = 0; x < width; x++) {
            vf v = {};
            const bool inside = x >= begin && x < end;
            if (inside || p.wraps) {
                const int64_t column = at.x - 1 + x;
                const float * pixel = row + (inside ? column : wrapped(column, p.width)) * in.channels;
                __builtin_prefetch(pixel + VL);  // the channels that are read next
                v = load_part(pixel, n);
                if (p.scale_shift) v = v * scale + shift;
                if (p.silu) v = silu(v);
            }
            store(to + x * VL, v);
        }
    }
}

template <class W, class F>
void transform_input(const block<W, F> & b) {
    const conv3x3_args & p = b.p;
    constexpr int64_t KB = block<W, F>::KB;
    const int64_t width = b.across * W::out + 2;
    for (int64_t c = 0; c < p.cin; c += VL) {
        const int n = static_cast<int>(std::min<int64_t>(VL, p.cin - c));
        auto * to = b.V + c / KB * W::points * b.V_stride() + c % KB / F::depth;
        for (int64_t row = 0; row < b.down; row++) {
            const tile_position at = row_position(b, row);
            // The last two rows of the strip are the first two of this one.
            const bool continues = row > 0 && at.y > 0;
            if (continues)
                std::memcpy(b.strip, b.strip + W::out * width * VL,
                            sizeof(float) * 2 * VL * static_cast<size_t>(width));
            read_strip(b, at, c, n, continues ? 2 : 0);
            transform_tiles<W, F>(b.strip, width, b.across, to + row * b.across * b.row, b.row, b.V_stride());
        }
    }
}

// Expands and transforms the filters of output channels [n, n + NB) and input channels [k0, k0 + kn) into U,
// a few channels at a time, so that expanded filters stay in the L1 cache. Blocks of quantized weights are
// not split.
template <class W, class F>
void transform_filters(const block<W, F> & b, int64_t n, int64_t k0, int64_t kn) {
    using element = typename F::element;
    const int rows = static_cast<int>(std::min<int64_t>(NB, b.p.cout - n));
    const int64_t group = b.p.w.type == storage::blocks ? block<W, F>::KB : 8;
    float * columns = b.filters + NB * expand_row;
    vf points[W::points], next[W::points];
    for (int64_t first = 0; first < kn; first += b.p.packed ? kn : group) {
        const int64_t count = b.p.packed ? kn : std::min(group, kn - first);
        const element * taps = reinterpret_cast<const element *>(columns);
        if constexpr (F::depth == 1) {
            load_panel(b.p.w, n, rows, (k0 + first) * 9, count * 9, b.filters, columns);
        } else if (b.p.packed) {
            taps = packed_panel<F>(b.p.packed, n / NB, b.p.cin, 9) + k0 / F::depth * 9 * NB;
        } else {
            pack_weights<F>(b.p.w, n, rows, k0 + first, count, 9, b.filters, columns,
                            reinterpret_cast<element *>(columns));
        }
        for (int64_t k = 0; k < F::elements(count); k++) {
            for (int v = 0; v < NV; v++) {
                const element * from = taps + k * 9 * NB + v * VL;
                element * to = b.U + (first / F::depth + k) * NB + v * VL;
                if constexpr (F::depth == 1) {
                    transform_filter<W>([&](int tap) { return load(from + tap * NB); }, points);
                    for (int i = 0; i < W::points; i++) store(to + i * b.U_stride, points[i]);
                } else {
                    const auto pair = [&](int tap) { return F::load_vector(from + tap * NB); };
                    transform_filter<W>([&](int tap) { return F::first(pair(tap)); }, points);
                    transform_filter<W>([&](int tap) { return F::second(pair(tap)); }, next);
                    for (int i = 0; i < W::points; i++) {
                        const vu pairs = bf16_pairs(points[i], next[i]);
                        std::memcpy(to + i * b.U_stride, &pairs, sizeof pairs);
                    }
                }
            }
        }
    }
}

// Returns the prefetcher for the panel of input channels after k, or for the first panel of the next output
// channels.
template <class W, class F>
weight_prefetcher next_filters(const block<W, F> & b, int64_t n, int64_t k) {
    constexpr int64_t KB = block<W, F>::KB;
    const bool last = k + 1 == b.panels;
    const int64_t row = last ? std::min(n + NB, b.p.cout) : n, column = last ? 0 : k + 1;
    const int64_t channels = std::min(KB, b.p.cin - column * KB),
                  parts = W::points * prefetch_count<F>(b.count);
    if (b.p.packed && row < b.p.cout) {
        const auto * from =
            packed_panel<F>(b.p.packed, row / NB, b.p.cin, 9) + column * KB / F::depth * 9 * NB;
        return {from, static_cast<int64_t>(sizeof *from) * F::elements(channels) * 9 * NB, parts};
    }
    return {b.p.w, row, std::min<int64_t>(NB, b.p.cout - row), column * KB * 9, channels * 9, parts};
}

// Prefetches a share of the output pixels of channels [n, n + NB), to be written after the products.
template <class W, class F>
void prefetch_output(const block<W, F> & b, int64_t n, int64_t share, int64_t shares) {
    const conv3x3_args & p = b.p;
    const int64_t lines = b.down * W::out;
    for (int64_t line = lines * share / shares; line < lines * (share + 1) / shares; line++) {
        const tile_position at = row_position(b, line / W::out);
        const int64_t y = at.y + line % W::out;
        if (y >= p.height) continue;
        const float * to = p.y + ((at.batch * p.height + y) * p.width + at.x) * p.cout + n;
        for (int64_t x = 0; x < std::min(b.across * W::out, p.width - at.x); x++) {
            for (int64_t v = 0; v < std::min<int64_t>(NB, p.cout - n); v += VL)
                __builtin_prefetch(to + x * p.cout + v, 1, 2);
        }
    }
}

// M (+)= V U for panel k with kn input channels and output channels [n, n + NB).
template <class W, class F>
void multiply_panel(const block<W, F> & b, int64_t n, int64_t k, int64_t kn) {
    const bool narrow = b.p.cout - n <= VL;  // the output channels fit into one vector
    constexpr int64_t M_row = block<W, F>::M_row;
    const int64_t depth = F::elements(kn);
    weight_prefetcher next = next_filters(b, n, k);
    for (int64_t f = 0; f < W::points; f++) {
        const auto *v = b.V + (k * W::points + f) * b.V_stride(), *u = b.U + f * b.U_stride;
        float * m = b.M + f * NB;
        if (k + 1 == b.panels) prefetch_output(b, n, f, W::points);
        if (narrow) {
            multiply<1, false, F>(b.count, v, b.row, u, NB, m, M_row, depth, k > 0, &next);
        } else {
            multiply<NV, false, F>(b.count, v, b.row, u, NB, m, M_row, depth, k > 0, &next);
        }
    }
}

// Returns true for outputs of whole vectors that need no more than a residual.
inline bool is_plain(const conv3x3_args & p, int part) {
    return part == VL && p.scale == 1 && p.residual_scale == 1 && !p.residual2 && !p.rect.on;
}

// Scales an output, adds the residuals, rectifies the sum and stores it. `c` is its channel, `at` its index
// in y.
inline void finish(const conv3x3_args & p, int64_t c, int64_t at, int part, vf value) {
    if (p.scale != 1) value = value * p.scale;
    if (p.residual) value += load_part(p.residual + at, part) * p.residual_scale;
    if (p.residual2) value += load_part(p.residual2 + at, part);
    store_part(p.y + at, rectified(p.rect, value, c, part), part);
}

// Transforms the products M of output channels [n, n + NB) to pixels, adds bias and time embedding, and
// finishes them.
template <class W, class F>
void transform_output(const block<W, F> & b, int64_t n) {
    const conv3x3_args & p = b.p;
    for (int v = 0; v < NV; v++) {
        const int64_t c = n + v * VL;
        if (c >= p.cout) break;
        const int part = static_cast<int>(std::min<int64_t>(VL, p.cout - c));
        const bool plain = is_plain(p, part);
        const vf bias = p.bias ? load_part(p.bias + c, part) : vf{};
        const float * products = b.M + v * VL;
        for (int64_t row = 0; row < b.down; row++) {
            const tile_position at = row_position(b, row);
            const vf add = p.add ? bias + load_part(p.add + at.batch * p.cout + c, part) : bias;
            const int64_t rows = std::min<int64_t>(W::out, p.height - at.y);
            const int64_t first = ((at.batch * p.height + at.y) * p.width + at.x) * p.cout + c;
            for (int64_t x = 0; x < b.across; x++, products += block<W, F>::M_row) {
                const int64_t columns = std::min<int64_t>(W::out, p.width - at.x - x * W::out);
                vf lines[W::out][W::in], o[W::out];
                output_columns<W>(products, lines);
                for (int64_t i = 0; i < rows; i++) {
                    W::output(lines[i], o);
                    const int64_t to = first + (i * p.width + x * W::out) * p.cout;
                    for (int64_t j = 0; j < columns; j++) {
                        const vf value = o[j] + add;
                        if (plain) {
                            const int64_t index = to + j * p.cout;
                            store(p.y + index, p.residual ? value + load(p.residual + index) : value);
                        } else {
                            finish(p, c, to + j * p.cout, part, value);
                        }
                    }
                }
            }
        }
    }
}

// Partition of the tiles into rectangles.
template <class W, class F>
struct partition {
    int64_t tiles_y, across_all, rows_all;  // rows of tiles per map; columns and rows of tiles of all maps
    int64_t across, rows;                   // tiles of a rectangle
    int64_t columns, blocks;                // rectangles per row, and in total
    int64_t splits;                         // items per rectangle, which split its output channels

    // Uses as many tiles per block as keep the transformed input in cache, but at least so many that the
    // products (72 operations per tile) outweigh transforming the filters (about 100 operations per weight).
    partition(const conv3x3_args & p, int64_t panels_out, int threads) {
        tiles_y = (p.height + W::out - 1) / W::out;
        across_all = (p.width + W::out - 1) / W::out;
        rows_all = p.batch * tiles_y;
        const int64_t cached =
            F::depth * (6 << 20) / (W::points * 4 * std::max<int64_t>(p.cin, block<W, F>::KB));
        const int64_t target = std::clamp<int64_t>(cached / MR * MR, 64, max_tiles<W, F>);
        columns = (across_all + max_across<W> - 1) / max_across<W>;
        across = (across_all + columns - 1) / columns;
        const int64_t max_rows = std::max<int64_t>(1, target / across),
                      bands = (rows_all + max_rows - 1) / max_rows;
        rows = (rows_all + bands - 1) / bands;
        blocks = columns * ((rows_all + rows - 1) / rows);
        splits = std::min<int64_t>(panels_out, std::max<int64_t>(1, (4 * threads + blocks - 1) / blocks));
    }
};

gemm_args as_product(const conv3x3_args & p) {
    gemm_args a{};
    a.rows = p.batch * p.height * p.width;
    a.rows_per_batch = p.height * p.width;
    a.columns = a.ldy = p.cout;
    a.depth = p.cin * 9;
    a.x = p.x;
    a.y = p.y;
    a.w = p.w;
    a.bias = p.bias;
    a.residual = p.residual;
    a.scale_shift = p.scale_shift;
    a.silu = p.silu;
    a.conv = {p.height, p.width, p.cin, 3, 1, 1, p.height, p.width, p.wraps};
    a.add = p.add;
    a.rect = p.rect;
    a.precision = p.precision;
    a.packed = p.packed;
    return a;
}

// With fewer tiles than this in a map, F(4x4) takes longer to transform a filter than it saves compared to
// F(2x2).
constexpr int64_t few_tiles = 16;
template <class W>
int64_t tiles_of_map(const conv3x3_args & p) {
    return ((p.height + W::out - 1) / W::out) * ((p.width + W::out - 1) / W::out);
}

template <class W, class F>
void convolve(const conv3x3_args & p, const team & t) {
    using part = block<W, F>;
    using element = typename F::element;
    constexpr int64_t KB = part::KB;
    const int64_t panels_in = (p.cin + KB - 1) / KB, panels_out = (p.cout + NB - 1) / NB;
    const partition<W, F> s(p, panels_out, t.count);
    const size_t V_size = static_cast<size_t>(panels_in * W::points * (s.rows * s.across * part::row + 16));
    const size_t M_size = static_cast<size_t>(s.rows * s.across * part::M_row);
    const size_t U_size = static_cast<size_t>(W::points * part::U_stride),
                 filters_size = NB * expand_row + KB * 9 * NB,
                 strip_size = static_cast<size_t>(W::in * VL * (s.across * W::out + 2));
    float * memory = scratch(V_size + U_size + M_size + filters_size + strip_size);
    int64_t transformed = -1;

    for_each_item(t, s.blocks * s.splits, [&](int64_t item) {
        const int64_t block_index = item / s.splits, split = item % s.splits;
        const int64_t top = block_index / s.columns * s.rows, left = block_index % s.columns * s.across;
        const int64_t across = std::min(s.across, s.across_all - left),
                      rows = std::min(s.rows, s.rows_all - top);
        float * at = memory;
        const auto allocate = [&at](size_t size) {
            float * from = at;
            at += size;
            return from;
        };
        element * V = reinterpret_cast<element *>(allocate(V_size));
        element * U = reinterpret_cast<element *>(allocate(U_size));
        const part b{p,
                     s.tiles_y,
                     top,
                     left,
                     across,
                     rows,
                     across * rows,
                     panels_in,
                     V,
                     U,
                     allocate(M_size),
                     allocate(filters_size),
                     allocate(strip_size)};
        if (block_index != transformed) transform_input(b);
        transformed = block_index;
        for (int64_t panel = panels_out * split / s.splits; panel < panels_out * (split + 1) / s.splits;
             panel++) {
            if (cancelled(t)) return;
            for (int64_t k = 0; k < panels_in; k++) {
                const int64_t kn = std::min(KB, p.cin - k * KB);
                transform_filters(b, panel * NB, k * KB, kn);
                multiply_panel(b, panel * NB, k, kn);
            }
            transform_output(b, panel * NB);
        }
    });
}

}  // namespace

void conv3x3(const conv3x3_args & p, const team & t) {
    if (is_product(p)) return gemm(as_product(p), t);
    switch (p.precision) {
        case precision::f32:
            return convolve<winograd4, f32_products>(p, t);
        case precision::bf16:
            return convolve<winograd2, bf16_products>(p, t);
        case precision::int8:
            return tiles_of_map<winograd4>(p) < few_tiles ? convolve<winograd2, bf16_products>(p, t)
                                                          : convolve<winograd4, bf16_products>(p, t);
    }
}

}  // namespace safelight::kernels::SAFELIGHT_ISA
