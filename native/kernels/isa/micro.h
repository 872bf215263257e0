#pragma once

#include "kernels/isa/simd.h"
#include "kernels/isa/weight_prefetcher.h"
#include "kernels/kernels.h"

namespace safelight::kernels::SAFELIGHT_ISA {

constexpr int64_t micro_step = 8;  // of the depth, between two looks at what is read next

// C[R, V vectors] (+)= A[R, depth] B[depth, V vectors], kept in registers over the whole depth.
template <int R, int V, bool looking>
inline void micro(const float * __restrict a, int64_t lda, const float * __restrict b, int64_t ldb,
                  float * __restrict c, int64_t ldc, int64_t depth, bool accumulate,
                  weight_prefetcher * next) {
    vf acc[R][V];
    for (int r = 0; r < R; r++) {
        for (int v = 0; v < V; v++) acc[r][v] = accumulate ? load(c + r * ldc + v * VL) : vf{};
    }
    if (next && !looking) next->ask();
    for (int64_t k = 0; k < depth; k++) {
        if (looking && k % micro_step == 0) next->ask();
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

using micro_fn = void (*)(const float *, int64_t, const float *, int64_t, float *, int64_t, int64_t, bool,
                          weight_prefetcher *);

template <int V, bool looking, size_t... I>
inline micro_fn micro_of(std::index_sequence<I...>, int64_t rows) {
    static constexpr micro_fn table[] = {micro<static_cast<int>(I) + 1, V, looking>...};
    return table[rows - 1];
}

// C[rows, V vectors] (+)= A B for any number of rows. What is read `next` is asked for meanwhile: before each
// MR rows, or, where they are few and the depth is long, `looking` as it goes through the depth.
template <int V, bool looking = false>
inline void multiply(int64_t rows, const float * a, int64_t lda, const float * b, int64_t ldb, float * c,
                     int64_t ldc, int64_t depth, bool accumulate, weight_prefetcher * next = nullptr) {
    int64_t r = 0;
    for (; r + MR <= rows; r += MR)
        micro<MR, V, looking>(a + r * lda, lda, b, ldb, c + r * ldc, ldc, depth, accumulate, next);
    if (r < rows) {
        const micro_fn rest = micro_of<V, looking>(std::make_index_sequence<MR - 1>{}, rows - r);
        rest(a + r * lda, lda, b, ldb, c + r * ldc, ldc, depth, accumulate, next);
    }
}
// How often a multiply asks.
inline int64_t looks(int64_t rows) {
    return (rows + MR - 1) / MR;
}
inline int64_t looks(int64_t rows, int64_t depth) {
    return looks(rows) * ((depth + micro_step - 1) / micro_step);
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
