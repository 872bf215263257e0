#pragma once

#include <type_traits>

#include "kernels/isa/products.h"
#include "kernels/isa/simd.h"
#include "kernels/isa/weight_prefetcher.h"
#include "kernels/kernels.h"

namespace safelight::kernels::SAFELIGHT_ISA {

constexpr int64_t prefetch_step = 8;  // steps of the depth between two prefetches

// Load the sums of a micro tile, or set them to 0, and store them. Loops are unrolled, because GCC keeps an
// array that is indexed by a variable in memory.
template <int R, int V>
inline void load_tile(vf (&acc)[R][V], const float * c, int64_t ldc, bool accumulate) {
    if (accumulate) {
#pragma GCC unroll 16
        for (int r = 0; r < R; r++) {
#pragma GCC unroll 2
            for (int v = 0; v < V; v++) acc[r][v] = load(c + r * ldc + v * VL);
        }
    } else {
#pragma GCC unroll 16
        for (int r = 0; r < R; r++) {
#pragma GCC unroll 2
            for (int v = 0; v < V; v++) acc[r][v] = vf{};
        }
    }
}
template <int R, int V>
inline void store_tile(const vf (&acc)[R][V], float * c, int64_t ldc) {
#pragma GCC unroll 16
    for (int r = 0; r < R; r++) {
#pragma GCC unroll 2
        for (int v = 0; v < V; v++) store(c + r * ldc + v * VL, acc[r][v]);
    }
}

// C[R, V vectors] (+)= A[R, depth] B[blocks, V vectors] for a format F with blocks of depth, each of which
// has scales. Both the sums of a block and those of the blocks are in registers.
template <class F, int R, int V, bool prefetch_often>
inline void micro_blocks(const typename F::element * __restrict a, int64_t lda,
                         const typename F::element * __restrict b, int64_t ldb, float * __restrict c,
                         int64_t ldc, int64_t depth, bool accumulate, weight_prefetcher * next) {
    constexpr int64_t each = F::block / F::depth;
    vf acc[R][V];
    load_tile(acc, c, ldc, accumulate);
    if (next && !prefetch_often) next->prefetch();
    for (int64_t k = 0; k < depth; k += each, b += F::rows_of_block * ldb) {
        if (prefetch_often) next->prefetch();
        vi sums[R][V];
#pragma GCC unroll 2
        for (int v = 0; v < V; v++) {
            const vi first = F::first_sums(b, ldb, v * VL);
#pragma GCC unroll 16
            for (int r = 0; r < R; r++) sums[r][v] = first;
        }
#pragma GCC unroll 8
        for (int64_t i = 0; i < each; i++) {
            typename F::vector column[V];
#pragma GCC unroll 2
            for (int v = 0; v < V; v++) column[v] = F::load_vector(b + (1 + i) * ldb + v * VL);
#pragma GCC unroll 16
            for (int r = 0; r < R; r++) {
                const typename F::vector x = F::broadcast(a[r * lda + k + i]);
#pragma GCC unroll 2
                for (int v = 0; v < V; v++) sums[r][v] = F::add(sums[r][v], x, column[v]);
            }
        }
#pragma GCC unroll 2
        for (int v = 0; v < V; v++) {
            const vf scale = F::scales(b, v * VL);
#pragma GCC unroll 16
            for (int r = 0; r < R; r++) acc[r][v] += to_floats(sums[r][v]) * scale;
        }
    }
    store_tile(acc, c, ldc);
}

// C[R, V vectors] (+)= A[R, depth] B[depth, V vectors] in the number format F, with C in registers over the
// whole depth, which counts elements. Prefetches `next` once, or every prefetch_step steps of the depth if
// `prefetch_often`.
template <class F, int R, int V, bool prefetch_often>
inline void micro(const typename F::element * __restrict a, int64_t lda,
                  const typename F::element * __restrict b, int64_t ldb, float * __restrict c, int64_t ldc,
                  int64_t depth, bool accumulate, weight_prefetcher * next) {
    vf acc[R][V];
    load_tile(acc, c, ldc, accumulate);
    if (next && !prefetch_often) next->prefetch();
    for (int64_t k = 0; k < depth; k++) {
        if (prefetch_often && k % prefetch_step == 0) next->prefetch();
        typename F::vector column[V];
#pragma GCC unroll 2
        for (int v = 0; v < V; v++) column[v] = F::load_vector(b + k * ldb + v * VL);
#pragma GCC unroll 16
        for (int r = 0; r < R; r++) {
            const typename F::vector x = F::broadcast(a[r * lda + k]);
#pragma GCC unroll 2
            for (int v = 0; v < V; v++) acc[r][v] = F::add(acc[r][v], x, column[v]);
        }
    }
    store_tile(acc, c, ldc);
}

#if defined(__ARM_FEATURE_BF16_VECTOR_ARITHMETIC) && defined(__ARM_FEATURE_MATMUL_INT8)
// The same tiles by instructions that multiply two rows with two columns over two elements of the depth
// (BFMMLA, USMMLA). A sum is [row 0 column 0, row 0 column 1, row 1 column 0, row 1 column 1].
template <class F, int R, int V>
struct pair_tile {
    static constexpr int pairs = (R + 1) / 2, columns = 2 * V;  // pairs of rows and of columns
    using sum = std::conditional_t<F::scales_rows, vi, vf>;
    sum sums[pairs][columns];

    // Adds the products of the elements a[r][0..1] and of two rows of a panel.
    void add(const uint32_t * a, int64_t lda, const uint32_t * b, int64_t ldb) {
        vu column[columns];
#pragma GCC unroll 2
        for (int v = 0; v < V; v++) {
            const vu first = F::load_vector(b + v * VL), second = F::load_vector(b + ldb + v * VL);
            column[2 * v] = __builtin_shufflevector(first, second, 0, 4, 1, 5);
            column[2 * v + 1] = __builtin_shufflevector(first, second, 2, 6, 3, 7);
        }
#pragma GCC unroll 8
        for (int r = 0; r < pairs; r++) {
            const uint32_t * from = a + 2 * r * lda;
            const uint32_t * other = 2 * r + 1 < R ? from + lda : from;
            const vu rows = {from[0], from[1], other[0], other[1]};
#pragma GCC unroll 4
            for (int c = 0; c < columns; c++) sums[r][c] = F::add_pairs(sums[r][c], rows, column[c]);
        }
    }
    // Returns the sums of row r and columns [v * VL, (v + 1) * VL).
    sum row(int r, int v) const {
        const sum low = sums[r / 2][2 * v], high = sums[r / 2][2 * v + 1];
        return r % 2 == 0 ? __builtin_shufflevector(low, high, 0, 1, 4, 5)
                          : __builtin_shufflevector(low, high, 2, 3, 6, 7);
    }
};

template <class F, int R, int V, bool prefetch_often>
inline void micro_pairs(const typename F::element * __restrict a, int64_t lda,
                        const typename F::element * __restrict b, int64_t ldb, float * __restrict c,
                        int64_t ldc, int64_t depth, bool accumulate, weight_prefetcher * next) {
    vf acc[R][V];
    load_tile(acc, c, ldc, accumulate);
    if (next && !prefetch_often) next->prefetch();
    pair_tile<F, R, V> tile = {};
    if constexpr (F::scales_rows) {
        constexpr int64_t each = F::block / F::depth;
        for (int64_t k = 0; k < depth; k += each, b += F::rows_of_block * ldb) {
            if (prefetch_often) next->prefetch();
            for (int v = 0; v < V; v++) {
                const vi first = F::first_sums(b, ldb, v * VL);
                for (int r = 0; r < tile.pairs; r++) {
                    tile.sums[r][2 * v] = __builtin_shufflevector(first, first, 0, 1, 0, 1);
                    tile.sums[r][2 * v + 1] = __builtin_shufflevector(first, first, 2, 3, 2, 3);
                }
            }
            for (int64_t i = 0; i < each; i += 2) tile.add(a + k + i, lda, b + (1 + i) * ldb, ldb);
            for (int v = 0; v < V; v++) {
                const vf scale = F::scales(b, v * VL);
                for (int r = 0; r < R; r++) acc[r][v] += to_floats(tile.row(r, v)) * scale;
            }
        }
    } else {
        int64_t k = 0;
        for (; k + 2 <= depth; k += 2) {
            if (prefetch_often && k % prefetch_step == 0) next->prefetch();
            tile.add(a + k, lda, b + k * ldb, ldb);
        }
        for (int v = 0; v < V; v++) {
            for (int r = 0; r < R; r++) {
                acc[r][v] += tile.row(r, v);
                // The last element of an odd depth.
                if (k < depth)
                    acc[r][v] =
                        F::add(acc[r][v], F::broadcast(a[r * lda + k]), F::load_vector(b + k * ldb + v * VL));
            }
        }
    }
#pragma GCC unroll 16
    for (int r = 0; r < R; r++) {
        for (int v = 0; v < V; v++) store(c + r * ldc + v * VL, acc[r][v]);
    }
}
#endif

// The micro kernel of a format.
template <class F, int R, int V, bool prefetch_often>
constexpr auto micro_of() {
#if defined(__ARM_FEATURE_BF16_VECTOR_ARITHMETIC) && defined(__ARM_FEATURE_MATMUL_INT8)
    if constexpr (F::depth > 1) {
        return micro_pairs<F, R, V, prefetch_often>;
    } else
#endif
        if constexpr (F::scales_rows) {
        return micro_blocks<F, R, V, prefetch_often>;
    } else {
        return micro<F, R, V, prefetch_often>;
    }
}

template <class F>
using micro_fn = void (*)(const typename F::element *, int64_t, const typename F::element *, int64_t, float *,
                          int64_t, int64_t, bool, weight_prefetcher *);

template <class F, int V, bool prefetch_often, size_t... I>
inline micro_fn<F> select_micro(std::index_sequence<I...>, int64_t rows) {
    static constexpr micro_fn<F> table[] = {micro_of<F, static_cast<int>(I) + 1, V, prefetch_often>()...};
    return table[rows - 1];
}

// C[rows, V vectors] (+)= A B for any number of rows. Prefetches the weights `next` before each F::rows rows
// or, with `prefetch_often` (for few rows and a large depth), also while it iterates over the depth.
template <int V, bool prefetch_often = false, class F = f32_products>
inline void multiply(int64_t rows, const typename F::element * a, int64_t lda, const typename F::element * b,
                     int64_t ldb, float * c, int64_t ldc, int64_t depth, bool accumulate,
                     weight_prefetcher * next = nullptr) {
    int64_t r = 0;
    for (; r + F::rows <= rows; r += F::rows)
        micro_of<F, F::rows, V, prefetch_often>()(a + r * lda, lda, b, ldb, c + r * ldc, ldc, depth,
                                                  accumulate, next);
    if (r < rows) {
        const micro_fn<F> rest =
            select_micro<F, V, prefetch_often>(std::make_index_sequence<F::rows - 1>{}, rows - r);
        rest(a + r * lda, lda, b, ldb, c + r * ldc, ldc, depth, accumulate, next);
    }
}
// Return the number of prefetches of a multiply without and with `prefetch_often`.
template <class F>
inline int64_t prefetch_count(int64_t rows) {
    return (rows + F::rows - 1) / F::rows;
}
template <class F>
inline int64_t prefetch_count(int64_t rows, int64_t depth) {
    return prefetch_count<F>(rows) * ((depth + prefetch_step - 1) / prefetch_step);
}

inline bool cancelled(const team & t) {
    return t.cancelled && t.cancelled(t.token);
}

// Distributes items [0, count) over the threads of the team. Stops early when cancelled.
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

}  // namespace safelight::kernels::SAFELIGHT_ISA
