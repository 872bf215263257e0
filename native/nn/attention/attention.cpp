#include "nn/attention/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "nn/fused/fusion.h"
#include "nn/layout.h"
#include "nn/weight.h"

namespace safelight {
namespace {

constexpr int64_t score_limit = int64_t(128) << 20;  // bytes
constexpr int64_t max_blocks = 256;                  // limits the size of the graph for any image size
constexpr size_t nodes_per_block = 16;               // upper bound of the nodes that a block adds

// [B, T, C] -> [B, heads, T, d], a view; in ggml's order [d, T, heads, B].
tensor split_heads(ggml_context * ctx, tensor x, int64_t heads) {
    tensor by_head = ggml_reshape_4d(ctx, x, x->ne[0] / heads, heads, x->ne[1], x->ne[2]);
    return ggml_permute(ctx, by_head, 0, 2, 1, 3);
}

// [B, T, heads, d], contiguous -> [B, T, C]
tensor join_heads(ggml_context * ctx, tensor x) {
    return ggml_reshape_3d(ctx, x, x->ne[0] * x->ne[1], x->ne[2], x->ne[3]);
}

float score_scale(tensor q) {
    return 1.0f / std::sqrt(static_cast<float>(q->ne[0]));
}

// [B, heads, Tq, d], [B, heads, Tk, d] -> [B, heads, Tq, Tk]
tensor probabilities(ggml_context * ctx, tensor q, tensor k, tensor mask) {
    tensor scores = ggml_mul_mat(ctx, k, ggml_cont(ctx, q));  // ggml's fast product needs contiguous q
    ggml_mul_mat_set_prec(scores, GGML_PREC_F32);
    return ggml_soft_max_ext(ctx, scores, mask, score_scale(q), 0.0f);
}

// [B, heads, Tq, Tk], v transposed [B, heads, d, Tk] -> [B, Tq, C]
tensor weighted_sum(ggml_context * ctx, tensor probs, tensor v_transposed) {
    tensor y = ggml_mul_mat(ctx, v_transposed, probs);
    ggml_mul_mat_set_prec(y, GGML_PREC_F32);
    return join_heads(ctx, ggml_cont(ctx, ggml_permute(ctx, y, 0, 2, 1, 3)));
}

tensor transposed(ggml_context * ctx, tensor v) {
    return ggml_cont(ctx, ggml_permute(ctx, v, 1, 0, 2, 3));
}

// Concatenates parts along the sequence pairwise, so that each number is copied only log2(parts) times.
tensor concat_sequences(ggml_context * ctx, std::vector<tensor> parts) {
    while (parts.size() > 1) {
        std::vector<tensor> merged;
        for (size_t i = 0; i < parts.size(); i += 2) {
            merged.push_back(i + 1 < parts.size() ? ggml_concat(ctx, parts[i], parts[i + 1], 1) : parts[i]);
        }
        parts = std::move(merged);
    }
    return parts.front();
}

// Computes attention for blocks of query rows, to limit the memory of the scores.
tensor attention_in_blocks(model_ref m, tensor q, tensor k, tensor v, tensor mask) {
    ggml_context * ctx = m.ctx();
    int64_t row_bytes = k->ne[1] * q->ne[2] * q->ne[3] * int64_t(sizeof(float));
    int64_t block = std::max(score_limit / row_bytes, (q->ne[1] + max_blocks - 1) / max_blocks);
    tensor v_transposed = transposed(ctx, v);
    std::vector<tensor> parts;
    m.g().require_room(nodes_per_block * (q->ne[1] / block + 1));
    for (int64_t row = 0; row < q->ne[1]; row += block) {
        int64_t n = std::min(block, q->ne[1] - row);
        tensor rows = ggml_view_4d(ctx, q, q->ne[0], n, q->ne[2], q->ne[3], q->nb[1], q->nb[2], q->nb[3],
                                   row * q->nb[1]);
        tensor mask_rows =
            mask ? ggml_view_2d(ctx, mask, k->ne[1], n, mask->nb[1], row * mask->nb[1]) : nullptr;
        parts.push_back(weighted_sum(ctx, probabilities(ctx, rows, k, mask_rows), v_transposed));
    }
    return concat_sequences(ctx, std::move(parts));
}

// ggml's flash attention, which keeps only a tile of scores in memory and computes in f32 if k and v are f32.
tensor attention_tiled(ggml_context * ctx, tensor q, tensor k, tensor v) {
    tensor y = ggml_flash_attn_ext(ctx, q, k, v, nullptr, score_scale(q), 0.0f, 0.0f);
    ggml_flash_attn_ext_set_prec(y, GGML_PREC_F32);
    return join_heads(ctx, y);
}

// Returns true if attention_tiled() may be used. With a single query, ggml splits the keys between threads,
// and the result would depend on their number.
bool can_use_tiled(model_ref m, tensor q, tensor mask) {
    return expands_weights(m) && !mask && q->ne[1] > 1;
}

}  // namespace

tensor attention(model_ref m, tensor q, tensor k, tensor v, int64_t heads, tensor mask) {
    bool causal = mask && fusion_of(m).causal_masks.count(mask);
    if (fuses(m) && (!mask || causal)) return emit_attention(m, q, k, v, heads, causal);
    ggml_context * ctx = m.ctx();
    q = split_heads(ctx, q, heads);
    k = split_heads(ctx, k, heads);
    v = split_heads(ctx, v, heads);
    const std::string readable = m.path("probs");
    if (m.g().opts().list_nodes || m.g().tapped(readable) || m.g().overridden(readable)) {
        tensor probs = probabilities(ctx, q, k, mask);
        probs = m.named("probs", probs, {q->ne[3], heads, q->ne[1], k->ne[1]});
        return weighted_sum(ctx, probs, transposed(ctx, v));
    }
    return can_use_tiled(m, q, mask) ? attention_tiled(ctx, q, k, v) : attention_in_blocks(m, q, k, v, mask);
}

tensor attention_probabilities(model_ref m, tensor q, tensor k, int64_t heads) {
    return probabilities(m.ctx(), split_heads(m.ctx(), q, heads), split_heads(m.ctx(), k, heads), nullptr);
}

tensor biased_attention(model_ref m, tensor q, tensor k, tensor v, int64_t heads, tensor bias, tensor keys) {
    ggml_context * ctx = m.ctx();
    q = split_heads(ctx, q, heads);
    k = split_heads(ctx, k, heads);
    tensor scores = ggml_mul_mat(ctx, k, ggml_cont(ctx, q));
    ggml_mul_mat_set_prec(scores, GGML_PREC_F32);
    if (keys) scores = ggml_add(ctx, scores, keys);
    tensor probs = ggml_soft_max_ext(ctx, scores, bias, 1.0f, 0.0f);
    probs = m.named("probs", probs, {q->ne[3], heads, q->ne[1], k->ne[1]});
    return weighted_sum(ctx, probs, transposed(ctx, split_heads(ctx, v, heads)));
}

tensor key_mask(model_ref m, const std::string & input, const shape & dims) {
    m.g().input(input, GGML_TYPE_I32, dims);
    m.g().limit(input, 0, 1);
    auto fill = [input, count = dims[0] * dims[1]](const graph::host_data & data, void * to) {
        const int32_t * visible = static_cast<const int32_t *>(data.at(input));
        // Not -inf, which would result in NaN if a whole row is hidden.
        for (int64_t i = 0; i < count; ++i) {
            static_cast<float *>(to)[i] = visible[i] ? 0.0f : std::numeric_limits<float>::lowest();
        }
    };
    return m.g().computed(GGML_TYPE_F32, {dims[0], 1, 1, dims[1]}, fill);
}

tensor causal_mask(model_ref m, int64_t length) {
    auto fill = [length](const graph::host_data &, void * to) {
        float * mask = static_cast<float *>(to);
        for (int64_t row = 0; row < length; ++row) {
            for (int64_t column = 0; column < length; ++column) {
                mask[row * length + column] = column <= row ? 0.0f : -std::numeric_limits<float>::infinity();
            }
        }
    };
    tensor mask = m.g().computed(GGML_TYPE_F32, {length, length}, fill);
    fusion_of(m).causal_masks.insert(mask);
    return mask;
}

}  // namespace safelight
