#include "nn/attention/window.h"

#include <cmath>
#include <vector>

#include "nn/attention/qkv.h"
#include "nn/fused/fusion.h"
#include "nn/layout.h"

namespace safelight {
namespace {

using host_data = graph::host_data;

// Returns the position of the token at (y, x) among the tokens of all windows, window after window.
int64_t place_of(const window_grid & w, int64_t y, int64_t x) {
    int64_t window = y / w.rows * (w.width / w.columns) + x / w.columns;
    return window * w.tokens() + y % w.rows * w.columns + x % w.columns;
}

// Returns the index of each token of the windows in a batch of maps, or the inverse.
tensor token_order(model_ref m, int64_t batch, const window_grid & w, bool inverse) {
    return m.g().computed(GGML_TYPE_I32, {batch * w.height * w.width}, [=](const host_data &, void * to) {
        int32_t * order = static_cast<int32_t *>(to);
        for (int64_t b = 0; b < batch; ++b, order += w.height * w.width) {
            for (int64_t y = 0; y < w.height; ++y) {
                for (int64_t x = 0; x < w.width; ++x) {
                    int64_t place = place_of(w, y, x);
                    int64_t token = (y + w.shift_y) % w.height * w.width + (x + w.shift_x) % w.width;
                    order[inverse ? token : place] =
                        static_cast<int32_t>((inverse ? place : token) + b * w.height * w.width);
                }
            }
        }
    });
}

// Token i of the result is token order[i] of x: [C, T, B] -> [C, T', B'].
tensor reordered(model_ref m, tensor x, tensor order, int64_t batch) {
    if (!ggml_is_contiguous(x)) x = ggml_cont(m.ctx(), x);
    tensor rows = ggml_get_rows(m.ctx(), ggml_reshape_2d(m.ctx(), x, x->ne[0], order->ne[0]), order);
    return ggml_reshape_3d(m.ctx(), rows, x->ne[0], order->ne[0] / batch, batch);
}

// Returns the region of a coordinate of a shifted map: 0 before the last window, 1 and 2 in the parts of the
// last window that the shift has joined.
int64_t region(int64_t at, int64_t side, int64_t window, int64_t shift) {
    if (at < side - window) return 0;
    return at < side - shift ? 1 : 2;
}

// Returns the mask of a shifted map: tokens attend only to tokens of the same region.
tensor shift_mask(model_ref m, const window_grid & w) {
    return m.g().computed(
        GGML_TYPE_F32, {w.windows(), 1, w.tokens(), w.tokens()}, [w](const host_data &, void * to) {
            std::vector<int64_t> regions(static_cast<size_t>(w.height * w.width));
            for (int64_t y = 0; y < w.height; ++y) {
                for (int64_t x = 0; x < w.width; ++x) {
                    regions[static_cast<size_t>(place_of(w, y, x))] =
                        3 * region(y, w.height, w.rows, w.shift_y) + region(x, w.width, w.columns, w.shift_x);
                }
            }
            float * mask = static_cast<float *>(to);
            for (int64_t window = 0; window < w.windows(); ++window) {
                const int64_t * of = regions.data() + window * w.tokens();
                for (int64_t query = 0; query < w.tokens(); ++query) {
                    for (int64_t key = 0; key < w.tokens(); ++key)
                        *mask++ = of[query] == of[key] ? 0.0f : -100.0f;
                }
            }
        });
}

// Returns the index of the difference of the positions of each query and key: dy·(2·columns - 1) + dx, both
// from 0.
tensor position_differences(model_ref m, const window_grid & w) {
    return m.g().computed(GGML_TYPE_I32, {w.tokens() * w.tokens()}, [w](const host_data &, void * to) {
        int32_t * index = static_cast<int32_t *>(to);
        for (int64_t query = 0; query < w.tokens(); ++query) {
            for (int64_t key = 0; key < w.tokens(); ++key) {
                int64_t dy = query / w.columns - key / w.columns + w.rows - 1;
                int64_t dx = query % w.columns - key % w.columns + w.columns - 1;
                *index++ = static_cast<int32_t>(dy * (2 * w.columns - 1) + dx);
            }
        }
    });
}

}  // namespace

windows windows_of(model_ref m, int64_t batch, const window_grid & grid) {
    return {grid, token_order(m, batch, grid, false), token_order(m, batch, grid, true),
            grid.shifted() ? shift_mask(m, grid) : nullptr, position_differences(m, grid)};
}

tensor window_partition(model_ref m, tensor x, const windows & w) {
    return reordered(m, x, w.order, dims_of_sequence(x).batch * w.grid.windows());
}

tensor window_merge(model_ref m, tensor x, const windows & w) {
    return reordered(m, x, w.inverse, dims_of_sequence(x).batch / w.grid.windows());
}

tensor window_bias(model_ref m, tensor table, const windows & w) {
    const int64_t tokens = w.grid.tokens();
    tensor rows = ggml_get_rows(m.ctx(), table, w.differences);
    rows = ggml_reshape_3d(m.ctx(), rows, table->ne[0], tokens, tokens);
    return ggml_cont(m.ctx(), ggml_permute(m.ctx(), rows, 2, 0, 1, 3));
}

tensor window_attention(model_ref m, tensor qkv, int64_t heads, tensor bias, const windows & w) {
    if (fuses(m)) return emit_packed_attention(m, qkv, heads, bias, w.mask);
    ggml_context * ctx = m.ctx();
    tensor q = packed_part(m, qkv, heads, 0), k = packed_part(m, qkv, heads, 1),
           v = packed_part(m, qkv, heads, 2);
    const float scale = 1 / std::sqrt(static_cast<float>(q->ne[0]));
    tensor scores = ggml_mul_mat(ctx, ggml_cont(ctx, k), ggml_cont(ctx, q));
    ggml_mul_mat_set_prec(scores, GGML_PREC_F32);
    scores = ggml_scale(ctx, scores, scale);
    if (w.mask) scores = ggml_add(ctx, scores, w.mask);
    tensor probs = ggml_soft_max_ext(ctx, scores, bias, 1.0f, 0.0f);
    tensor y = ggml_mul_mat(ctx, ggml_cont(ctx, ggml_permute(ctx, v, 1, 0, 2, 3)), probs);
    ggml_mul_mat_set_prec(y, GGML_PREC_F32);
    y = ggml_cont(ctx, ggml_permute(ctx, y, 0, 2, 1, 3));
    return ggml_reshape_3d(ctx, y, y->ne[0] * y->ne[1], y->ne[2], y->ne[3]);
}

}  // namespace safelight
