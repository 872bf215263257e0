// softmax(q k^T scale) v without the score matrix: blocks of queries go over blocks of keys, with the running
// maximum and sum of each row (Milakov and Gimelshein 2018; Dao et al. 2022).

#include <cmath>

#include "kernels/isa/isa.h"
#include "kernels/isa/micro.h"
#include "kernels/scratch.h"

namespace safelight::kernels::SAFELIGHT_ISA {

namespace {

constexpr int64_t BQ = 96;   // queries in a block
constexpr int64_t BK = 128;  // keys in a block, a multiple of NB
constexpr float none = -1e30f;

struct block {
    const attention_args & p;
    int64_t batch, head, first, rows;  // queries [first, first + rows)
    int64_t padded;                    // head_dim in whole vectors
    float * Q;                         // [rows][head_dim], scaled
    float * K;                         // [head_dim][NB]
    float * V;                         // [BK][padded]
    float * S;                         // [rows][BK]
    float * O;                         // [rows][padded]
    float * top;                       // [rows] running maximum
    float * total;                     // [rows] running sum
};

void load_queries(const block & b) {
    const attention_args & p = b.p;
    for (int64_t r = 0; r < b.rows; r++) {
        const float * from = p.q + b.batch * p.batch_q + (b.first + r) * p.ldq + b.head * p.head_dim;
        for (int64_t d = 0; d < p.head_dim; d++) b.Q[r * p.head_dim + d] = from[d] * p.scale;
        b.top[r] = none;
        b.total[r] = 0;
    }
    std::memset(b.O, 0, sizeof(float) * static_cast<size_t>(b.rows * b.padded));
}

void scores(const block & b, int64_t key, int64_t keys) {
    const attention_args & p = b.p;
    for (int64_t n = 0; n < keys; n += NB) {
        const int columns = static_cast<int>(std::min<int64_t>(NB, keys - n));
        const float * from = p.k + b.batch * p.batch_k + (key + n) * p.ldk + b.head * p.head_dim;
        transpose_panel(from, p.ldk, columns, static_cast<int>(p.head_dim), b.K);
        multiply<NV>(b.rows, b.Q, p.head_dim, b.K, NB, b.S + n, BK, p.head_dim, false);
    }
}

// Scores of one row to weights; earlier sums shrink where the maximum grew. Keys beyond `valid` count for
// nothing.
void soften(const block & b, int64_t r, int64_t valid) {
    float * s = b.S + r * BK;
    const int64_t whole = (valid + VL - 1) / VL * VL;
    for (int64_t i = valid; i < BK; i++) s[i] = none;
    vf most = splat(b.top[r]);
    for (int64_t i = 0; i < whole; i += VL) most = max(load(s + i), most);
    const float top = highest(most), shrink = std::exp(b.top[r] - top);
    vf total = {};
    for (int64_t i = 0; i < whole; i += VL) {
        const vf weight = exp(load(s + i) - top);
        store(s + i, weight);
        total += weight;
    }
    for (int64_t i = whole; i < BK; i++) s[i] = 0;
    b.total[r] = b.total[r] * shrink + sum(total);
    b.top[r] = top;
    if (shrink != 1.f) {
        for (int64_t d = 0; d < b.padded; d += VL)
            store(b.O + r * b.padded + d, load(b.O + r * b.padded + d) * shrink);
    }
}

void add_values(const block & b, int64_t key, int64_t keys) {
    const attention_args & p = b.p;
    for (int64_t i = 0; i < keys; i++) {
        const float * from = p.v + b.batch * p.batch_v + (key + i) * p.ldv + b.head * p.head_dim;
        std::memcpy(b.V + i * b.padded, from, sizeof(float) * static_cast<size_t>(p.head_dim));
        for (int64_t d = p.head_dim; d < b.padded; d++) b.V[i * b.padded + d] = 0;
    }
    int64_t d = 0;
    for (; d + NB <= b.padded; d += NB)
        multiply<NV>(b.rows, b.S, BK, b.V + d, b.padded, b.O + d, b.padded, keys, true);
    for (; d < b.padded; d += VL)
        multiply<1>(b.rows, b.S, BK, b.V + d, b.padded, b.O + d, b.padded, keys, true);
}

void write_rows(const block & b) {
    const attention_args & p = b.p;
    for (int64_t r = 0; r < b.rows; r++) {
        float * to = p.y + b.batch * p.batch_y + (b.first + r) * p.ldy + b.head * p.head_dim;
        const float inverse = 1 / b.total[r];
        for (int64_t d = 0; d < p.head_dim; d++) to[d] = b.O[r * b.padded + d] * inverse;
    }
}

}  // namespace

void attention(const attention_args & p, const team & t) {
    const int64_t blocks = (p.queries + BQ - 1) / BQ, padded = (p.head_dim + VL - 1) / VL * VL;
    const size_t Q_size = static_cast<size_t>(BQ * p.head_dim), K_size = static_cast<size_t>(p.head_dim * NB);
    const size_t V_size = static_cast<size_t>(BK * padded), S_size = BQ * BK,
                 O_size = static_cast<size_t>(BQ * padded);
    float * memory = scratch(Q_size + K_size + V_size + S_size + O_size + 2 * BQ + 64);

    for_each_item(t, p.batch * p.heads * blocks, [&](int64_t item) {
        const int64_t first = item % blocks * BQ;
        block b{p,
                item / blocks / p.heads,
                item / blocks % p.heads,
                first,
                std::min(BQ, p.queries - first),
                padded,
                memory,
                nullptr,
                nullptr,
                nullptr,
                nullptr,
                nullptr,
                nullptr};
        b.K = b.Q + Q_size;
        b.V = b.K + K_size;
        b.S = b.V + V_size;
        b.O = b.S + S_size;
        b.top = b.O + O_size;
        b.total = b.top + BQ;
        load_queries(b);
        const auto seen = [&](int64_t query) {
            return p.causal ? std::min(p.keys, std::max(p.past + query + 1, p.unmasked)) : p.keys;
        };
        const int64_t end = seen(first + b.rows - 1);
        for (int64_t key = 0; key < end; key += BK) {
            if (cancelled(t)) return;
            const int64_t keys = std::min(BK, end - key);
            scores(b, key, keys);
            for (int64_t r = 0; r < b.rows; r++)
                soften(b, r, std::clamp<int64_t>(seen(first + r) - key, 0, keys));
            add_values(b, key, keys);
        }
        write_rows(b);
    });
}

}  // namespace safelight::kernels::SAFELIGHT_ISA
