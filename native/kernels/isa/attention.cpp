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

constexpr int64_t BQ = 16 * MR;  // maximum number of queries per block
constexpr int64_t BK = 128;      // keys per block, a multiple of NB
constexpr int64_t BR = 2 * MR;   // rows whose scores exist at the same time
constexpr float lowest_score = -1e30f;

struct block {
    const attention_args & p;
    int64_t batch, head, first, rows;  // queries [first, first + rows)
    int64_t padded;                    // head_dim rounded up to whole vectors
    float * Q;                         // [rows][head_dim], scaled
    float * K;                         // [BK / NB][head_dim][NB]
    float * V;                         // [BK][padded]
    float * S;                         // [BR][BK]
    float * O;                         // [rows][padded]
    float * top;                       // [rows] running maximum
    float * total;                     // [rows] running sum

    // Returns the number of keys that a query attends to.
    int64_t visible(int64_t row) const {
        return p.causal ? std::min(p.keys, std::max(p.past + first + row + 1, p.unmasked)) : p.keys;
    }
};

void load_queries(const block & b) {
    const attention_args & p = b.p;
    for (int64_t r = 0; r < b.rows; r++) {
        const float * from = p.q + b.batch * p.batch_q + (b.first + r) * p.ldq + b.head * p.head_dim;
        for (int64_t d = 0; d < p.head_dim; d++) b.Q[r * p.head_dim + d] = from[d] * p.scale;
        b.top[r] = lowest_score;
        b.total[r] = 0;
    }
    std::memset(b.O, 0, sizeof(float) * static_cast<size_t>(b.rows * b.padded));
}

void load_keys(const block & b, int64_t key, int64_t keys) {
    const attention_args & p = b.p;
    for (int64_t n = 0; n < keys; n += NB) {
        const int columns = static_cast<int>(std::min<int64_t>(NB, keys - n));
        const float * from = p.k + b.batch * p.batch_k + (key + n) * p.ldk + b.head * p.head_dim;
        transpose_panel(from, p.ldk, columns, p.head_dim, b.K + n * p.head_dim);
    }
    for (int64_t i = 0; i < keys; i++) {
        const float * from = p.v + b.batch * p.batch_v + (key + i) * p.ldv + b.head * p.head_dim;
        std::memcpy(b.V + i * b.padded, from, sizeof(float) * static_cast<size_t>(p.head_dim));
        for (int64_t d = p.head_dim; d < b.padded; d++) b.V[i * b.padded + d] = 0;
    }
}

// Converts the scores of one row to softmax weights and rescales the earlier sums if the maximum grew. Keys
// from `valid` on get the weight 0.
void online_softmax(const block & b, int64_t r, float * s, int64_t valid, int64_t keys) {
    if (valid <= 0) {
        std::memset(s, 0, sizeof(float) * static_cast<size_t>(keys));
        return;
    }
    const int64_t vector_end = (valid + VL - 1) / VL * VL;
    for (int64_t i = valid; i < vector_end; i++) s[i] = lowest_score;
    vf largest = splat(b.top[r]);
    for (int64_t i = 0; i < vector_end; i += VL) largest = max(load(s + i), largest);
    const float top = max_element(largest);
    vf total = {};
    for (int64_t i = 0; i < vector_end; i += VL) {
        const vf weight = exp_negative(load(s + i) - top);
        store(s + i, weight);
        total += weight;
    }
    for (int64_t i = vector_end; i < keys; i++) s[i] = 0;
    const float rescale = top == b.top[r] ? 1 : std::exp(b.top[r] - top);
    b.total[r] = b.total[r] * rescale + sum(total);
    b.top[r] = top;
    if (rescale != 1.f) {
        for (int64_t d = 0; d < b.padded; d += VL)
            store(b.O + r * b.padded + d, load(b.O + r * b.padded + d) * rescale);
    }
}

// Adds `terms` to the scores of one row.
void add_terms(float * s, const float * terms, int64_t keys) {
    for (int64_t i = 0; i < keys; i += VL) {
        const int part = static_cast<int>(std::min<int64_t>(VL, keys - i));
        store(s + i, load(s + i) + load_part(terms + i, part));
    }
}

// Adds bias and mask to the scores of row r for keys [key, key + keys).
void add_bias(const block & b, int64_t r, float * s, int64_t key, int64_t keys) {
    const attention_args & p = b.p;
    const int64_t at = (b.first + r) * p.keys + key, size = p.queries * p.keys;
    if (p.bias) add_terms(s, p.bias + b.head * size + at, keys);
    if (p.mask) add_terms(s, p.mask + b.batch % p.masks * size + at, keys);
}

// Processes rows [r, r + rows) with the loaded block of keys.
void add_rows(const block & b, int64_t r, int64_t rows, int64_t key, int64_t keys) {
    const int64_t head_dim = b.p.head_dim;
    for (int64_t n = 0; n < keys; n += NB) {
        multiply<NV>(rows, b.Q + r * head_dim, head_dim, b.K + n * head_dim, NB, b.S + n, BK, head_dim,
                     false);
    }
    for (int64_t i = 0; i < rows; i++) {
        add_bias(b, r + i, b.S + i * BK, key, keys);
        online_softmax(b, r + i, b.S + i * BK, std::min(b.visible(r + i) - key, keys), keys);
    }
    float * out = b.O + r * b.padded;
    int64_t d = 0;
    for (; d + NB <= b.padded; d += NB)
        multiply<NV>(rows, b.S, BK, b.V + d, b.padded, out + d, b.padded, keys, true);
    for (; d < b.padded; d += VL)
        multiply<1>(rows, b.S, BK, b.V + d, b.padded, out + d, b.padded, keys, true);
}

void write_rows(const block & b) {
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
    const int64_t blocks = std::max((p.queries + BQ - 1) / BQ, std::min(target, (p.queries + BR - 1) / BR));
    return ((p.queries + blocks - 1) / blocks + MR - 1) / MR * MR;
}

}  // namespace

void attention(const attention_args & p, const team & t) {
    const int64_t block_rows = block_of_queries(p, t.count),
                  blocks = (p.queries + block_rows - 1) / block_rows;
    const int64_t padded = (p.head_dim + VL - 1) / VL * VL;
    const size_t Q_size = static_cast<size_t>(block_rows * p.head_dim),
                 K_size = static_cast<size_t>(BK * p.head_dim), V_size = static_cast<size_t>(BK * padded),
                 S_size = BR * BK, O_size = static_cast<size_t>(block_rows * padded),
                 row_size = static_cast<size_t>(block_rows);
    float * memory = scratch(Q_size + K_size + V_size + S_size + O_size + 2 * row_size + 64);

    for_each_item(t, p.batch * p.heads * blocks, [&](int64_t item) {
        float * at = memory;
        const auto allocate = [&at](size_t size) {
            float * from = at;
            at += size;
            return from;
        };
        const int64_t first = item % blocks * block_rows, rows = std::min(block_rows, p.queries - first);
        const block b{p,
                      item / blocks / p.heads,
                      item / blocks % p.heads,
                      first,
                      rows,
                      padded,
                      allocate(Q_size),
                      allocate(K_size),
                      allocate(V_size),
                      allocate(S_size),
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

}  // namespace safelight::kernels::SAFELIGHT_ISA
