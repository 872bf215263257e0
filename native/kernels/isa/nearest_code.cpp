// The nearest code of a codebook. In f32 the reference's formula cannot tell codes apart whose distances
// differ by less than the last place of |z|², and then takes the first: so its terms are rounded where it
// rounds them, but each is computed in double before, which makes the choice independent of the order of
// summing.

#include <limits>

#include "kernels/isa/isa.h"
#include "kernels/isa/micro.h"
#include "kernels/isa/panel.h"
#include "kernels/scratch.h"

namespace safelight::kernels::SAFELIGHT_ISA {

namespace {

// As wide as the processor's vectors: compilers keep wider ones in memory.
constexpr int DL = VL / 2;   // doubles in a vector
constexpr int ND = NB / DL;  // vectors across a panel
typedef double vd __attribute__((vector_size(DL * 8)));
typedef double vd_unaligned __attribute__((vector_size(DL * 8), aligned(8), may_alias));

constexpr int64_t row_block = 32;
constexpr int R = 2;  // rows at a time, so that sums of NB codes stay in registers

inline vd load_doubles(const double * p) {
    return *reinterpret_cast<const vd_unaligned *>(p);
}

float squared_length(const float * x, int64_t width) {
    double sum = 0;
    for (int64_t k = 0; k < width; k++) sum += static_cast<double>(x[k]) * static_cast<double>(x[k]);
    return static_cast<float>(sum);
}

// What a thread works in: NB codes as columns, in double, and their squared lengths; for each row of the
// block its own, and for each lane the smallest distance so far and where.
struct workspace {
    float * columns;
    double * panel;
    float *lengths, *row_lengths, *best;
    int32_t * where;
};

workspace workspace_for(int64_t width) {
    const auto columns = static_cast<size_t>(width * NB), lanes = static_cast<size_t>(row_block * VL);
    float * base = scratch(3 * columns + NB + row_block + 2 * lanes);
    workspace w{};
    w.panel = reinterpret_cast<double *>(base);
    w.columns = base + 2 * columns;
    w.lengths = w.columns + columns;
    w.row_lengths = w.lengths + NB;
    w.best = w.row_lengths + row_block;
    w.where = reinterpret_cast<int32_t *>(w.best + lanes);
    return w;
}

// Codes [first, first + count); columns that are missing are zeros, and left out of the comparison.
void fill_panel(const nearest_code_args & p, int64_t first, int64_t count, const workspace & w) {
    const float * codes = p.codebook + first * p.width;
    transpose_panel(codes, p.width, static_cast<int>(count), static_cast<int>(p.width), w.columns);
    for (int64_t i = 0; i < p.width * NB; i++) w.panel[i] = static_cast<double>(w.columns[i]);
    for (int64_t n = 0; n < count; n++) w.lengths[n] = squared_length(codes + n * p.width, p.width);
    for (int64_t n = count; n < NB; n++) w.lengths[n] = std::numeric_limits<float>::infinity();
}

// Dot products of ROWS rows with the panel, rounded to f32: out[ROWS][NB].
template <int ROWS>
inline void dots(const nearest_code_args & p, const float * x, const double * panel, float * out) {
    vd sums[ROWS][ND] = {};
    for (int64_t k = 0; k < p.width; k++) {
        vd column[ND];
        for (int v = 0; v < ND; v++) column[v] = load_doubles(panel + k * NB + v * DL);
        for (int r = 0; r < ROWS; r++) {
            const double value = static_cast<double>(x[r * p.width + k]);
            for (int v = 0; v < ND; v++) sums[r][v] += value * column[v];
        }
    }
    for (int r = 0; r < ROWS; r++) {
        for (int v = 0; v < ND; v++) {
            for (int i = 0; i < DL; i++) out[r * NB + v * DL + i] = static_cast<float>(sums[r][v][i]);
        }
    }
}

inline void keep_nearest(const workspace & w, int64_t row, int64_t code, vf distance) {
    const vf best = load(w.best + row * VL);
    const vi nearer = distance < best;
    store(w.best + row * VL, select(nearer, distance, best));
    vi where, lane;
    std::memcpy(&where, w.where + row * VL, sizeof where);
    for (int i = 0; i < VL; i++) lane[i] = i;
    where = nearer ? lane + static_cast<int32_t>(code) : where;
    std::memcpy(w.where + row * VL, &where, sizeof where);
}

void compare(const nearest_code_args & p, int64_t first_row, int64_t rows, int64_t code, int64_t count,
             const workspace & w) {
    for (int64_t r = 0; r < rows; r += R) {
        float products[R * NB];
        const float * x = p.x + (first_row + r) * p.width;
        rows - r >= R ? dots<R>(p, x, w.panel, products) : dots<1>(p, x, w.panel, products);
        for (int64_t i = r; i < std::min(r + R, rows); i++) {
            for (int64_t v = 0; v < NV && v * VL < count; v++) {
                const vf sum = w.row_lengths[i] + load(w.lengths + v * VL);
                const vf distance = sum - 2.f * load(products + (i - r) * NB + v * VL);
                if (p.index) keep_nearest(w, i, code + v * VL, distance);
                if (!p.distances) continue;
                float * to = p.distances + (first_row + i) * p.codes + code + v * VL;
                store_part(to, distance, static_cast<int>(std::min<int64_t>(VL, count - v * VL)));
            }
        }
    }
}

// The first of the smallest over the lanes.
int32_t nearest_of(const workspace & w, int64_t row) {
    const float * best = w.best + row * VL;
    const int32_t * where = w.where + row * VL;
    int found = 0;
    for (int i = 1; i < VL; i++) {
        if (best[i] < best[found] || (best[i] == best[found] && where[i] < where[found])) found = i;
    }
    return where[found];
}

}  // namespace

void nearest_code(const nearest_code_args & p, const team & t) {
    const int64_t blocks = (p.rows + row_block - 1) / row_block;
    for_each_item(t, blocks, [&](int64_t item) {
        const int64_t first = item * row_block, rows = std::min(row_block, p.rows - first);
        const workspace w = workspace_for(p.width);
        for (int64_t r = 0; r < rows; r++)
            w.row_lengths[r] = squared_length(p.x + (first + r) * p.width, p.width);
        std::fill_n(w.best, rows * VL, std::numeric_limits<float>::infinity());
        std::fill_n(w.where, rows * VL, 0);
        for (int64_t code = 0; code < p.codes; code += NB) {
            const int64_t count = std::min<int64_t>(NB, p.codes - code);
            fill_panel(p, code, count, w);
            compare(p, first, rows, code, count, w);
        }
        if (!p.index) return;
        for (int64_t r = 0; r < rows; r++) p.index[first + r] = nearest_of(w, r);
    });
}

}  // namespace safelight::kernels::SAFELIGHT_ISA
