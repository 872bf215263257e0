// softmax(q k^T scale) v without storing the score matrix: each block of queries iterates over blocks
// of keys and keeps a running maximum and sum per row (Milakov and Gimelshein 2018; Dao et al. 2022). Keys
// and values are packed once per block of queries; scores exist only for a few rows at a time, in the L1
// cache.

#include <cmath>

#include "kernels/isa/functions.h"
#include "kernels/isa/isa.h"
#include "kernels/isa/micro.h"
#include "kernels/isa/panel.h"
#include "kernels/scratch.h"

namespace safelight::kernels::SAFELIGHT_ISA {

namespace {

// Maximum numbers of queries per block, and of their outputs, which stay in the L2 cache.
constexpr int64_t BQ = 48 * MR, max_outputs = 1 << 16;
constexpr int64_t BK = 128;     // keys per block, a multiple of NB
constexpr int64_t BR = 2 * MR;  // rows whose scores exist at the same time
constexpr float lowest_score = -1e30f;

// Operands of the products are in the number format F.
template <class F>
struct block {
    using element = typename F::element;
    // Weights that are rounded to bf16 are powers of two of scores in this unit.
    static constexpr float score_unit = F::depth == 1 ? 1 : 1.44269504089f;

    const attention_args & p;
    int64_t batch, head, first, rows;  // queries [first, first + rows)
    int64_t depth;                     // elements of head_dim numbers
    int64_t padded;                    // head_dim rounded up to whole vectors
    element * Q;                       // [rows][depth], scaled
    element * K;                       // [BK / NB][depth][NB]
    element * V;                       // [elements of BK][padded]
    float * S;                         // [BR][BK]
    element * W;                       // [BR][elements of BK] weights of the softmax; S itself in f32
    float * E;                         // [BK][padded] or [head_dim][NB], operands before they are packed
    float * O;                         // [rows][padded]
    float * top;                       // [rows] running maximum
    float * total;                     // [rows] running sum

    // Returns the number of keys that a query attends to.
    int64_t visible(int64_t row) const {
        return p.causal ? std::min(p.keys, std::max(p.past + first + row + 1, p.unmasked)) : p.keys;
    }
};

template <class F>
void load_queries(const block<F> & b) {
    const attention_args & p = b.p;
    for (int64_t r = 0; r < b.rows; r++) {
        const float * from = p.q + b.batch * p.batch_q + (b.first + r) * p.ldq + b.head * p.head_dim;
        const float scale = p.scale * block<F>::score_unit;
        for (int64_t d = 0; d < p.head_dim; d++) b.E[d] = from[d] * scale;
        F::pack(b.E, p.head_dim, 1, b.Q + r * b.depth);
        b.top[r] = lowest_score;
        b.total[r] = 0;
    }
    std::memset(b.O, 0, sizeof(float) * static_cast<size_t>(b.rows * b.padded));
}

template <class F>
void load_keys(const block<F> & b, int64_t key, int64_t keys) {
    const attention_args & p = b.p;
    for (int64_t n = 0; n < keys; n += NB) {
        const int columns = static_cast<int>(std::min<int64_t>(NB, keys - n));
        const float * from = p.k + b.batch * p.batch_k + (key + n) * p.ldk + b.head * p.head_dim;
        if constexpr (F::depth == 1) {
            transpose_panel(from, p.ldk, columns, p.head_dim, b.K + n * b.depth);
        } else {
            transpose_panel(from, p.ldk, columns, p.head_dim, b.E);
            F::pack_panel(b.E, p.head_dim, 1, NB, b.K + n * b.depth);
        }
    }
    float * values = F::depth == 1 ? reinterpret_cast<float *>(b.V) : b.E;
    for (int64_t i = 0; i < keys; i++) {
        const float * from = p.v + b.batch * p.batch_v + (key + i) * p.ldv + b.head * p.head_dim;
        std::memcpy(values + i * b.padded, from, sizeof(float) * static_cast<size_t>(p.head_dim));
        for (int64_t d = p.head_dim; d < b.padded; d++) values[i * b.padded + d] = 0;
    }
    if constexpr (F::depth > 1) F::pack_panel(b.E, keys, 1, b.padded, b.V);
}

// Converts the scores s of one row to softmax weights w, which may be s in f32, and rescales the earlier sums
// if the maximum grew. Keys from `valid` on get the weight 0.
template <class F>
void online_softmax(const block<F> & b, int64_t r, float * s, int64_t valid, int64_t keys,
                    typename F::element * w) {
    const int64_t elements = F::elements(keys);
    if (valid <= 0) {
        std::memset(w, 0, sizeof *w * static_cast<size_t>(elements));
        return;
    }
    const int64_t vector_end = (valid + VL - 1) / VL * VL;
    for (int64_t i = valid; i < vector_end; i++) s[i] = lowest_score;
    vf largest = splat(b.top[r]);
    for (int64_t i = 0; i < vector_end; i += VL) largest = max(load(s + i), largest);
    const float top = max_element(largest);
    vf total = {};
    for (int64_t i = 0; i < vector_end; i += VL) {
        const vf difference = load(s + i) - top;
        const vf weight = F::depth == 1 ? exp_negative(difference) : exp2_roughly(difference);
        F::store_row(w + i / F::depth, weight);
        total += weight;
    }
    for (int64_t i = vector_end / F::depth; i < elements; i++) w[i] = 0;
    const float rescale = top == b.top[r] ? 1 : std::exp((b.top[r] - top) / block<F>::score_unit);
    b.total[r] = b.total[r] * rescale + sum(total);
    b.top[r] = top;
    if (rescale != 1.f) {
        for (int64_t d = 0; d < b.padded; d += VL)
            store(b.O + r * b.padded + d, load(b.O + r * b.padded + d) * rescale);
    }
}

// Adds `terms` to the scores of one row.
void add_terms(float * s, const float * terms, float unit, int64_t keys) {
    for (int64_t i = 0; i < keys; i += VL) {
        const int part = static_cast<int>(std::min<int64_t>(VL, keys - i));
        store(s + i, load(s + i) + load_part(terms + i, part) * unit);
    }
}

// Adds bias and mask to the scores of row r for keys [key, key + keys).
template <class F>
void add_bias(const block<F> & b, int64_t r, float * s, int64_t key, int64_t keys) {
    const attention_args & p = b.p;
    const int64_t at = (b.first + r) * p.keys + key, size = p.queries * p.keys;
    constexpr float unit = block<F>::score_unit;
    if (p.bias) add_terms(s, p.bias + b.head * size + at, unit, keys);
    if (p.mask) add_terms(s, p.mask + b.batch % p.masks * size + at, unit, keys);
}

// Processes rows [r, r + rows) with the loaded block of keys.
template <class F>
void add_rows(const block<F> & b, int64_t r, int64_t rows, int64_t key, int64_t keys) {
    constexpr int64_t W_row = BK / F::depth;
    for (int64_t n = 0; n < keys; n += NB) {
        multiply<NV, false, F>(rows, b.Q + r * b.depth, b.depth, b.K + n * b.depth, NB, b.S + n, BK, b.depth,
                               false);
    }
    for (int64_t i = 0; i < rows; i++) {
        add_bias(b, r + i, b.S + i * BK, key, keys);
        online_softmax(b, r + i, b.S + i * BK, std::min(b.visible(r + i) - key, keys), keys, b.W + i * W_row);
    }
    float * out = b.O + r * b.padded;
    const int64_t depth = F::elements(keys);
    int64_t d = 0;
    for (; d + NB <= b.padded; d += NB)
        multiply<NV, false, F>(rows, b.W, W_row, b.V + d, b.padded, out + d, b.padded, depth, true);
    for (; d < b.padded; d += VL)
        multiply<1, false, F>(rows, b.W, W_row, b.V + d, b.padded, out + d, b.padded, depth, true);
}

template <class F>
void write_rows(const block<F> & b) {
    const attention_args & p = b.p;
    for (int64_t r = 0; r < b.rows; r++) {
        float * to = p.y + b.batch * p.batch_y + (b.first + r) * p.ldy + b.head * p.head_dim;
        const float inverse = 1 / b.total[r];
        for (int64_t d = 0; d < p.head_dim; d++) to[d] = b.O[r * b.padded + d] * inverse;
    }
}

// Returns the number of queries per block: small enough to occupy all threads, with blocks of equal size.
int64_t block_of_queries(const attention_args & p, int threads) {
    const int64_t target = (4 * threads + p.batch * p.heads - 1) / (p.batch * p.heads);
    const int64_t most = std::clamp<int64_t>(max_outputs / p.head_dim, BR, BQ);
    const int64_t blocks =
        std::max((p.queries + most - 1) / most, std::min(target, (p.queries + BR - 1) / BR));
    return ((p.queries + blocks - 1) / blocks + MR - 1) / MR * MR;
}

template <class F>
void attention_in(const attention_args & p, const team & t) {
    using element = typename F::element;
    const int64_t block_rows = block_of_queries(p, t.count),
                  blocks = (p.queries + block_rows - 1) / block_rows;
    const int64_t padded = (p.head_dim + VL - 1) / VL * VL, depth = F::elements(p.head_dim);
    const size_t Q_size = static_cast<size_t>(block_rows * depth), K_size = static_cast<size_t>(BK * depth),
                 V_size = static_cast<size_t>(BK / F::depth * padded), S_size = BR * BK,
                 W_size = F::depth > 1 ? S_size / F::depth : 0,
                 E_size = static_cast<size_t>(F::depth > 1 ? BK * padded + p.head_dim * NB : p.head_dim),
                 O_size = static_cast<size_t>(block_rows * padded),
                 row_size = static_cast<size_t>(block_rows);
    float * memory =
        scratch(Q_size + K_size + V_size + S_size + W_size + E_size + O_size + 2 * row_size + 64);

    for_each_item(t, p.batch * p.heads * blocks, [&](int64_t item) {
        float * at = memory;
        const auto allocate = [&at](size_t size) {
            float * from = at;
            at += size;
            return from;
        };
        const auto elements = [&](size_t size) { return reinterpret_cast<element *>(allocate(size)); };
        const int64_t first = item % blocks * block_rows, rows = std::min(block_rows, p.queries - first);
        element * Q = elements(Q_size);
        element * K = elements(K_size);
        element * V = elements(V_size);
        float * S = allocate(S_size);
        element * W = F::depth > 1 ? elements(W_size) : reinterpret_cast<element *>(S);
        const block<F> b{p,
                         item / blocks / p.heads,
                         item / blocks % p.heads,
                         first,
                         rows,
                         depth,
                         padded,
                         Q,
                         K,
                         V,
                         S,
                         W,
                         allocate(E_size),
                         allocate(O_size),
                         allocate(row_size),
                         allocate(row_size)};
        load_queries(b);
        const int64_t end = b.visible(rows - 1);
        for (int64_t key = 0; key < end; key += BK) {
            if (cancelled(t)) return;
            const int64_t keys = std::min(BK, end - key);
            load_keys(b, key, keys);
            for (int64_t r = 0; r < rows; r += BR) add_rows(b, r, std::min(BR, rows - r), key, keys);
        }
        write_rows(b);
    });
}

}  // namespace

void attention(const attention_args & p, const team & t) {
    p.precision == precision::f32 ? attention_in<f32_products>(p, t) : attention_in<bf16_products>(p, t);
}

}  // namespace safelight::kernels::SAFELIGHT_ISA
