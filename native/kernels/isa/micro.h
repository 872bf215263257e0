#pragma once

#include "kernels/isa/simd.h"
#include "kernels/kernels.h"

namespace safelight::kernels::SAFELIGHT_ISA {

// C[R, V vectors] (+)= A[R, depth] B[depth, V vectors], kept in registers over the whole depth.
template <int R, int V>
inline void micro(const float * __restrict a, int64_t lda, const float * __restrict b, int64_t ldb,
                  float * __restrict c, int64_t ldc, int64_t depth, bool accumulate) {
    vf acc[R][V];
    for (int r = 0; r < R; r++) {
        for (int v = 0; v < V; v++) acc[r][v] = accumulate ? load(c + r * ldc + v * VL) : vf{};
    }
    for (int64_t k = 0; k < depth; k++) {
        vf column[V];
        for (int v = 0; v < V; v++) column[v] = load(b + k * ldb + v * VL);
#pragma GCC unroll 16
        for (int r = 0; r < R; r++) {
            const vf x = splat(a[r * lda + k]);
#pragma GCC unroll 2
            for (int v = 0; v < V; v++) acc[r][v] += x * column[v];
        }
    }
    for (int r = 0; r < R; r++) {
        for (int v = 0; v < V; v++) store(c + r * ldc + v * VL, acc[r][v]);
    }
}

template <int V>
using micro_fn = void (*)(const float *, int64_t, const float *, int64_t, float *, int64_t, int64_t, bool);

template <int V, size_t... I>
inline void micro_tail(std::index_sequence<I...>, int64_t rows, const float * a, int64_t lda, const float * b,
                       int64_t ldb, float * c, int64_t ldc, int64_t depth, bool accumulate) {
    static constexpr micro_fn<V> table[] = {micro<static_cast<int>(I) + 1, V>...};
    table[rows - 1](a, lda, b, ldb, c, ldc, depth, accumulate);
}

// C[rows, V vectors] (+)= A B for any number of rows.
template <int V>
inline void multiply(int64_t rows, const float * a, int64_t lda, const float * b, int64_t ldb, float * c,
                     int64_t ldc, int64_t depth, bool accumulate) {
    int64_t r = 0;
    for (; r + MR <= rows; r += MR)
        micro<MR, V>(a + r * lda, lda, b, ldb, c + r * ldc, ldc, depth, accumulate);
    if (r < rows) {
        micro_tail<V>(std::make_index_sequence<MR - 1>{}, rows - r, a + r * lda, lda, b, ldb, c + r * ldc,
                      ldc, depth, accumulate);
    }
}

inline bool cancelled(const team & t) {
    return t.cancelled && t.cancelled(t.token);
}

// Hands out items [0, count) to the team. Stops early when cancelled.
template <class F>
inline void for_each_item(const team & t, int64_t count, F body) {
    const int64_t parts = std::min(t.count, lanes);
    for (int64_t i = 0; i < parts; i++) {
        const int64_t lane = (t.index + i) % parts;
        const int64_t first = count * lane / parts, end = count * (lane + 1) / parts;
        for (;;) {
            const int64_t item = first + t.counter->next[lane].fetch_add(1, std::memory_order_relaxed);
            if (item >= end) break;
            if (cancelled(t)) return leave(t);
            body(item);
        }
    }
    leave(t);
}

// Where row `row`'s weights from column `column` on begin; `column` must be a multiple of the block.
inline const void * weights_at(const weights & w, int64_t row, int64_t column) {
    return static_cast<const char *>(w.data) + static_cast<size_t>(row) * w.row_bytes +
           static_cast<size_t>(column / w.block) * w.block_bytes;
}
inline void expand(const weights & w, int64_t row, int64_t column, float * out, int64_t count) {
    const void * from = weights_at(w, row, column);
    switch (w.type) {
        case storage::f32:
            std::memcpy(out, from, sizeof(float) * static_cast<size_t>(count));
            break;
        case storage::f16:
            expand_f16(static_cast<const uint16_t *>(from), out, count);
            break;
        case storage::bf16:
            expand_bf16(static_cast<const uint16_t *>(from), out, count);
            break;
        case storage::blocks:
            w.expand(from, out, count);
            break;
    }
}

// Weights of rows [row, row + rows), rows <= NB, and columns [column, column + count) as out[count][NB];
// missing rows become zeros. `expanded` [NB][expand_columns + 16] is for storage that cannot be turned where
// it lies.
constexpr int64_t expand_columns = 256;
constexpr int64_t expand_row = expand_columns + 16;  // off the powers of two
inline void load_panel(const weights & w, int64_t row, int rows, int64_t column, int64_t count,
                       float * expanded, float * out) {
    if (w.type == storage::f32 || w.type == storage::f16) {
        const void * from = weights_at(w, row, column);
        const int64_t ld = static_cast<int64_t>(w.row_bytes / w.block_bytes);
        const int64_t ahead =
            column + 2 * count <= ld ? count : NB * ld - column;  // this row's next panel, or the next rows'
        if (w.type == storage::f32) {
            transpose_panel(static_cast<const float *>(from), ld, rows, count, out, ahead);
        } else {
            transpose_panel(static_cast<const uint16_t *>(from), ld, rows, count, out, ahead);
        }
        return;
    }
    for (int64_t k = 0; k < count; k += expand_columns) {
        const int64_t n = std::min(expand_columns, count - k);
        for (int r = 0; r < rows; r++) expand(w, row + r, column + k, expanded + r * expand_row, n);
        transpose_panel(expanded, expand_row, rows, n, out + k * NB);
    }
}

}  // namespace safelight::kernels::SAFELIGHT_ISA
