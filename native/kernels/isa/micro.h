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

}  // namespace safelight::kernels::SAFELIGHT_ISA
