// Nearest code of a codebook. In f32 the reference's formula gives equal distances to codes whose distances
// differ by less than 1 ulp of |z|², and picks the first one. To match it, the terms are rounded to f32
// where the reference rounds them; each term is computed in double before, so that the result does not
// depend on the order of summation.

#include <limits>

#include "kernels/isa/isa.h"
#include "kernels/isa/micro.h"
#include "kernels/isa/panel.h"
#include "kernels/scratch.h"

namespace safelight::kernels::SAFELIGHT_ISA {

namespace {

// Same width as the processor's vectors: compilers keep wider vectors in memory.
constexpr int DL = VL / 2;   // doubles per vector
constexpr int ND = NB / DL;  // vectors per row of a panel
typedef double vd __attribute__((vector_size(DL * 8)));
typedef double vd_unaligned __attribute__((vector_size(DL * 8), aligned(8), may_alias));

constexpr int64_t row_block = 32;
constexpr int R = 2;  // rows processed at once, so that the sums of NB codes stay in registers

inline vd load_doubles(const double * p) {
    return *reinterpret_cast<const vd_unaligned *>(p);
}

float squared_length(const float * x, int64_t width) {
    double sum = 0;
    for (int64_t k = 0; k < width; k++) sum += static_cast<double>(x[k]) * static_cast<double>(x[k]);
    return static_cast<float>(sum);
}

// Scratch memory of a thread.
struct workspace {
    float * columns;       // [width][NB] codes, transposed
    double * panel;        // the same in double
    float * lengths;       // [NB] squared lengths of the codes
    float * row_lengths;   // [row_block] squared lengths of the rows
    float * best;          // [row_block][VL] smallest distance so far in each lane
    int32_t * best_index;  // [row_block][VL] index of that code
};

workspace make_workspace(int64_t width) {
    const auto columns = static_cast<size_t>(width * NB), lanes = static_cast<size_t>(row_block * VL);
    float * base = scratch(3 * columns + NB + row_block + 2 * lanes);
    workspace w{};
    w.panel = reinterpret_cast<double *>(base);
    w.columns = base + 2 * columns;
    w.lengths = w.columns + columns;
    w.row_lengths = w.lengths + NB;
    w.best = w.row_lengths + row_block;
    w.best_index = reinterpret_cast<int32_t *>(w.best + lanes);
    return w;
}

// Loads codes [first, first + count). Missing columns are zeros with an infinite length, so that they are
// never the nearest.
void fill_panel(const nearest_code_args & p, int64_t first, int64_t count, const workspace & w) {
    const float * codes = p.codebook + first * p.width;
    transpose_panel(codes, p.width, static_cast<int>(count), static_cast<int>(p.width), w.columns);
    for (int64_t i = 0; i < p.width * NB; i++) w.panel[i] = static_cast<double>(w.columns[i]);
    for (int64_t n = 0; n < count; n++) w.lengths[n] = squared_length(codes + n * p.width, p.width);
    for (int64_t n = count; n < NB; n++) w.lengths[n] = std::numeric_limits<float>::infinity();
}

// Computes the dot products of ROWS rows with the panel, rounded to f32: out[ROWS][NB].
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

inline void update_nearest(const workspace & w, int64_t row, int64_t code, vf distance) {
    const vf best = load(w.best + row * VL);
    const vi nearer = distance < best;
    store(w.best + row * VL, select(nearer, distance, best));
    vi best_index, lane;
    std::memcpy(&best_index, w.best_index + row * VL, sizeof best_index);
    for (int i = 0; i < VL; i++) lane[i] = i;
    best_index = nearer ? lane + static_cast<int32_t>(code) : best_index;
    std::memcpy(w.best_index + row * VL, &best_index, sizeof best_index);
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
                if (p.index) update_nearest(w, i, code + v * VL, distance);
                if (!p.distances) continue;
                float * to = p.distances + (first_row + i) * p.codes + code + v * VL;
                store_part(to, distance, static_cast<int>(std::min<int64_t>(VL, count - v * VL)));
            }
        }
    }
}

// Returns the smallest index among the lanes with the smallest distance.
int32_t nearest_in_lanes(const workspace & w, int64_t row) {
    const float * best = w.best + row * VL;
    const int32_t * best_index = w.best_index + row * VL;
    int found = 0;
    for (int i = 1; i < VL; i++) {
        if (best[i] < best[found] || (best[i] == best[found] && best_index[i] < best_index[found])) found = i;
    }
    return best_index[found];
}

}  // namespace

void nearest_code(const nearest_code_args & p, const team & t) {
    const int64_t blocks = (p.rows + row_block - 1) / row_block;
    for_each_item(t, blocks, [&](int64_t item) {
        const int64_t first = item * row_block, rows = std::min(row_block, p.rows - first);
        const workspace w = make_workspace(p.width);
        for (int64_t r = 0; r < rows; r++)
            w.row_lengths[r] = squared_length(p.x + (first + r) * p.width, p.width);
        std::fill_n(w.best, rows * VL, std::numeric_limits<float>::infinity());
        std::fill_n(w.best_index, rows * VL, 0);
        for (int64_t code = 0; code < p.codes; code += NB) {
            const int64_t count = std::min<int64_t>(NB, p.codes - code);
            fill_panel(p, code, count, w);
            compare(p, first, rows, code, count, w);
        }
        if (!p.index) return;
        for (int64_t r = 0; r < rows; r++) p.index[first + r] = nearest_in_lanes(w, r);
    });
}

}  // namespace safelight::kernels::SAFELIGHT_ISA
