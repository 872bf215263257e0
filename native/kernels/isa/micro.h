#pragma once

#include "kernels/isa/products.h"
#include "kernels/isa/simd.h"
#include "kernels/isa/weight_prefetcher.h"
#include "kernels/kernels.h"

namespace safelight::kernels::SAFELIGHT_ISA {

constexpr int64_t prefetch_step = 8;  // steps of the depth between two prefetches

// C[R, V vectors] (+)= A[R, depth] B[blocks, V vectors] for a format F with blocks of depth, each of which has
// scales. Both the sums of a block and those of the blocks are in registers.
template <class F, int R, int V, bool prefetch_often>
inline void micro_blocks(const typename F::element * __restrict a, int64_t lda,
                         const typename F::element * __restrict b, int64_t ldb, float * __restrict c,
                         int64_t ldc, int64_t depth, bool accumulate, weight_prefetcher * next) {
    constexpr int64_t each = F::block / F::depth;
    vf acc[R][V];
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
#pragma GCC unroll 16
    for (int r = 0; r < R; r++) {
#pragma GCC unroll 2
        for (int v = 0; v < V; v++) store(c + r * ldc + v * VL, acc[r][v]);
    }
}

// C[R, V vectors] (+)= A[R, depth] B[depth, V vectors] in the number format F, with C in registers over the
// whole depth, which counts elements. Prefetches `next` once, or every prefetch_step steps of the depth if
// `prefetch_often`.
template <class F, int R, int V, bool prefetch_often>
inline void micro(const typename F::element * __restrict a, int64_t lda,
                  const typename F::element * __restrict b, int64_t ldb, float * __restrict c, int64_t ldc,
                  int64_t depth, bool accumulate, weight_prefetcher * next) {
    vf acc[R][V];
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
#pragma GCC unroll 16
    for (int r = 0; r < R; r++) {
#pragma GCC unroll 2
        for (int v = 0; v < V; v++) store(c + r * ldc + v * VL, acc[r][v]);
    }
}

// The micro kernel of a format.
template <class F, int R, int V, bool prefetch_often>
constexpr auto micro_of() {
    if constexpr (F::scales_rows)
        return micro_blocks<F, R, V, prefetch_often>;
    else
        return micro<F, R, V, prefetch_often>;
}

template <class F>
using micro_fn = void (*)(const typename F::element *, int64_t, const typename F::element *, int64_t, float *,
                          int64_t, int64_t, bool, weight_prefetcher *);

template <class F, int V, bool prefetch_often, size_t... I>
inline micro_fn<F> select_micro(std::index_sequence<I...>, int64_t rows) {
    static constexpr micro_fn<F> table[] = {micro_of<F, static_cast<int>(I) + 1, V, prefetch_often>()...};
    return table[rows - 1];
}

// C[rows, V vectors] (+)= A B for any number of rows. Prefetches the weights `next` before each F::rows rows or,
// with `prefetch_often` (for few rows and a large depth), also while it iterates over the depth.
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
