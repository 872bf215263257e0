// Winograd F(4x4, 3x3) with the points 0, +-sqrt2/2, +-sqrt2 and infinity (Lavin and Gray 2015; Alam et al.
// 2022 on points): y = A^T [(G g G^T) . (B^T d B)] A over tiles of 4x4 outputs. 36 small matrix products
// instead of 144 multiplications an output tile. Blocks of tiles go through transform, products and inverse
// transform while they are in cache; filters are expanded and transformed panel by panel, so that the
// transformed ones (4 times the size) never exist in memory.

#include <cmath>

#include "kernels/isa/isa.h"
#include "kernels/isa/micro.h"
#include "kernels/scratch.h"

namespace safelight::kernels::SAFELIGHT_ISA {

namespace {

constexpr float q = 1.41421356237309504880f;
constexpr int64_t KB = 64;         // input channels in a filter panel
constexpr int64_t max_tiles = 96;  // tiles in a block
constexpr int64_t U_stride =
    KB * NB + 16;  // off the powers of two: 36 streams of stride 4096 share one cache set
constexpr int64_t filter_row = KB * 9;

struct block {
    const conv3x3_args & p;
    int64_t tiles_x, tiles_y, first, count;  // tiles [first, first + count)
    int64_t panels;                          // of input channels
    float * V;                               // [panels][36][count][KB] transformed input
    float * U;                               // [36][KB][NB] transformed filters
    float * M;                               // [36][count][NB] products
    float * F;                               // [NB][KB * 9] expanded filters, then [KB * 9][NB]

    int64_t V_stride() const { return count * KB + 16; }
    int64_t M_stride() const { return count * NB + 16; }
};

struct place {
    int64_t batch, y, x;
};
place tile_place(const block & b, int64_t tile) {
    const int64_t id = b.first + tile, each = b.tiles_x * b.tiles_y;
    return {id / each, id % each / b.tiles_x * 4, id % b.tiles_x * 4};
}

inline void input_1d(const vf d[6], vf o[6]) {
    const vf a = d[4] - 2.f * d[2], b = q * (d[3] * .5f - d[1]);
    const vf c = d[4] - .5f * d[2], e = q * (d[3] - d[1] * .5f);
    o[0] = d[0] - 2.5f * d[2] + d[4];
    o[1] = a + b;
    o[2] = a - b;
    o[3] = c + e;
    o[4] = c - e;
    o[5] = d[1] - 2.5f * d[3] + d[5];
}
inline void output_1d(const vf m[6], vf o[4]) {
    const vf s1 = m[1] + m[2], d1 = m[1] - m[2], s2 = m[3] + m[4], d2 = m[3] - m[4];
    o[0] = m[0] + s1 + s2;
    o[1] = q * (.5f * d1 + d2);
    o[2] = .5f * s1 + 2.f * s2;
    o[3] = q * (.25f * d1 + 2.f * d2) + m[5];
}
inline void filter_1d(const vf g[3], vf o[6]) {
    const vf a = (-2.f / 3) * g[0] - (1.f / 3) * g[2], b = (q / 3) * g[1];
    const vf c = (1.f / 6) * g[0] + (1.f / 3) * g[2], d = (q / 6) * g[1];
    o[0] = g[0];
    o[1] = a - b;
    o[2] = a + b;
    o[3] = c + d;
    o[4] = c - d;
    o[5] = g[2];
}

// The 6x6 inputs of a tile for VL channels from c on, normalized and activated where asked; zeros outside the
// picture.
inline void read_tile(const conv3x3_args & p, place at, int64_t c, int n, vf d[6][6]) {
    vf scale = splat(1), shift = {};
    if (p.scale_shift) {
        const float * s = p.scale_shift + at.batch * 2 * p.cin + c;
        scale = load_part(s, n);
        shift = load_part(s + p.cin, n);
    }
    for (int i = 0; i < 6; i++) {
        const int64_t y = at.y + i - 1;
        for (int j = 0; j < 6; j++) {
            const int64_t x = at.x + j - 1;
            if (y < 0 || y >= p.height || x < 0 || x >= p.width) {
                d[i][j] = vf{};
                continue;
            }
            const float * from = p.x + ((at.batch * p.height + y) * p.width + x) * p.cin + c;
            vf v = n == VL ? load(from) : load_part(from, n);
            if (p.scale_shift) v = v * scale + shift;
            d[i][j] = p.silu ? silu(v) : v;
        }
    }
}

void transform_input(const block & b) {
    const conv3x3_args & p = b.p;
    for (int64_t t = 0; t < b.count; t++) {
        const place at = tile_place(b, t);
        for (int64_t c = 0; c < p.cin; c += VL) {
            const int n = static_cast<int>(std::min<int64_t>(VL, p.cin - c));
            vf d[6][6], o[6];
            read_tile(p, at, c, n, d);
            for (int j = 0; j < 6; j++) {
                const vf column[6] = {d[0][j], d[1][j], d[2][j], d[3][j], d[4][j], d[5][j]};
                input_1d(column, o);
                for (int i = 0; i < 6; i++) d[i][j] = o[i];
            }
            float * to = b.V + c / KB * 36 * b.V_stride() + t * KB + c % KB;
            for (int i = 0; i < 6; i++) {
                input_1d(d[i], o);
                for (int j = 0; j < 6; j++) store(to + (i * 6 + j) * b.V_stride(), o[j]);
            }
        }
    }
}

// Filters of output channels [n, n + NB) and input channels [k0, k0 + kn), expanded and transformed into U.
void transform_filters(const block & b, int64_t n, int64_t k0, int64_t kn) {
    const int rows = static_cast<int>(std::min<int64_t>(NB, b.p.cout - n));
    float * columns = b.F + NB * filter_row;
    for (int r = 0; r < rows; r++) expand(b.p.w, n + r, k0 * 9, b.F + r * filter_row, kn * 9);
    transpose_panel(b.F, filter_row, rows, static_cast<int>(kn * 9), columns);
    for (int64_t k = 0; k < kn; k++) {
        for (int v = 0; v < NV; v++) {
            const float * from = columns + k * 9 * NB + v * VL;
            vf t[6][3], o[6];
            for (int j = 0; j < 3; j++) {
                const vf g[3] = {load(from + j * NB), load(from + (3 + j) * NB), load(from + (6 + j) * NB)};
                filter_1d(g, o);
                for (int i = 0; i < 6; i++) t[i][j] = o[i];
            }
            float * to = b.U + k * NB + v * VL;
            for (int i = 0; i < 6; i++) {
                filter_1d(t[i], o);
                for (int j = 0; j < 6; j++) store(to + (i * 6 + j) * U_stride, o[j]);
            }
        }
    }
}

// Products M of output channels [n, n + NB) back to pixels, with bias, time embedding and residual.
void transform_output(const block & b, int64_t n) {
    const conv3x3_args & p = b.p;
    for (int v = 0; v < NV; v++) {
        const int64_t c = n + v * VL;
        if (c >= p.cout) break;
        const int part = static_cast<int>(std::min<int64_t>(VL, p.cout - c));
        const vf bias = p.bias ? load_part(p.bias + c, part) : vf{};
        for (int64_t t = 0; t < b.count; t++) {
            const place at = tile_place(b, t);
            const vf add = p.add ? bias + load_part(p.add + at.batch * p.cout + c, part) : bias;
            vf s[4][6], o[4];
            for (int j = 0; j < 6; j++) {
                vf m[6];
                for (int i = 0; i < 6; i++) m[i] = load(b.M + (i * 6 + j) * b.M_stride() + t * NB + v * VL);
                output_1d(m, o);
                for (int i = 0; i < 4; i++) s[i][j] = o[i];
            }
            for (int i = 0; i < 4 && at.y + i < p.height; i++) {
                output_1d(s[i], o);
                const int64_t row = ((at.batch * p.height + at.y + i) * p.width + at.x) * p.cout + c;
                for (int j = 0; j < 4 && at.x + j < p.width; j++) {
                    const int64_t to = row + j * p.cout;
                    vf value = o[j] + add;
                    if (part == VL) {
                        if (p.residual) value += load(p.residual + to);
                        store(p.y + to, value);
                    } else {
                        if (p.residual) value += load_part(p.residual + to, part);
                        store_part(p.y + to, value, part);
                    }
                }
            }
        }
    }
}

// Tiles in a block: as many as leave the transformed input of a block in the cache, never so few that
// transforming the filters (about 100 operations a weight) outweighs the products (72 a tile).
int64_t tiles_in_block(const conv3x3_args & p, int64_t tiles, int threads) {
    const int64_t cached = (6 << 20) / (36 * 4 * std::max<int64_t>(p.cin, KB));
    const int64_t wanted = std::clamp<int64_t>(cached / MR * MR, 48, max_tiles);
    const int64_t blocks = (tiles + wanted - 1) / wanted;
    return tiles <= wanted || blocks >= 2 * threads ? std::min(wanted, tiles) : (tiles + blocks - 1) / blocks;
}

}  // namespace

void conv3x3(const conv3x3_args & p, const team & t) {
    const int64_t tiles_x = (p.width + 3) / 4, tiles_y = (p.height + 3) / 4,
                  tiles = p.batch * tiles_x * tiles_y;
    const int64_t each = tiles_in_block(p, tiles, t.count), blocks = (tiles + each - 1) / each;
    const int64_t panels_in = (p.cin + KB - 1) / KB, panels_out = (p.cout + NB - 1) / NB;
    // Few blocks: several items share a block's tiles and split its output channels; what is computed stays
    // the same.
    const int64_t splits =
        std::min<int64_t>(panels_out, std::max<int64_t>(1, (4 * t.count + blocks - 1) / blocks));
    const size_t V_size = static_cast<size_t>(panels_in * 36 * (each * KB + 16));
    const size_t M_size = static_cast<size_t>(36 * (each * NB + 16));
    const size_t U_size = 36 * U_stride, F_size = 2 * NB * filter_row;
    float * memory = scratch(V_size + U_size + M_size + F_size);

    for_each_item(t, blocks * splits, [&](int64_t item) {
        const int64_t first = item / splits * each, split = item % splits;
        block b{p,
                tiles_x,
                tiles_y,
                first,
                std::min(each, tiles - first),
                panels_in,
                memory,
                memory + V_size,
                memory + V_size + U_size,
                memory + V_size + U_size + M_size};
        transform_input(b);
        for (int64_t panel = panels_out * split / splits; panel < panels_out * (split + 1) / splits;
             panel++) {
            if (cancelled(t)) return;
            for (int64_t k = 0; k < panels_in; k++) {
                const int64_t kn = std::min(KB, p.cin - k * KB);
                transform_filters(b, panel * NB, k * KB, kn);
                for (int f = 0; f < 36; f++) {
                    multiply<NV>(b.count, b.V + (k * 36 + f) * b.V_stride(), KB, b.U + f * U_stride, NB,
                                 b.M + f * b.M_stride(), NB, kn, k > 0);
                }
            }
            transform_output(b, panel * NB);
        }
    });
}

}  // namespace safelight::kernels::SAFELIGHT_ISA
