#include "nn/codebook.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "nn/fused/kernel_node.h"
#include "nn/layout.h"

namespace safelight {
namespace {

constexpr int64_t block_limit = int64_t(64) << 20;  // bytes of one block's distances
constexpr int64_t max_blocks = 256;                 // limits the size of the graph
constexpr size_t nodes_per_block = 32;              // upper bound of the nodes that a block adds

// Returns true if our kernel computes the distances. Unlike fusion it does not depend on taps, so that
// inspecting a run does not change its result.
bool uses_kernel(model_ref m) {
    return m.g().opts().cpu && !m.g().opts().stock_ops;
}

tensor codebook_weight(model_ref m, int64_t codes, int64_t width) {
    return m.weight("weight", {codes, width}, weight_role::vector);
}

// Reshapes [B, T, C] to rows: [C, B·T] in ggml's order.
tensor as_rows(model_ref m, tensor x) {
    if (!ggml_is_contiguous(x)) x = ggml_cont(m.ctx(), x);
    return ggml_reshape_2d(m.ctx(), x, x->ne[0], ggml_nrows(x));
}

kernels::nearest_code_args kernel_args(tensor rows, tensor table) {
    kernels::nearest_code_args a{};
    a.rows = rows->ne[1];
    a.width = rows->ne[0];
    a.codes = table->ne[1];
    a.x = static_cast<const float *>(rows->data);
    a.codebook = static_cast<const float *>(table->data);
    return a;
}

tensor nearest_by_kernel(model_ref m, tensor rows, tensor table) {
    const int64_t ne[4] = {rows->ne[1], 1, 1, 1};
    auto run = [=](tensor out, const kernels::team & team) {
        kernels::nearest_code_args a = kernel_args(rows, table);
        a.index = static_cast<int32_t *>(out->data);
        kernels::active().nearest_code(a, team);
    };
    return kernel_node(m.g(), ne, {rows, table}, run, GGML_TYPE_I32);
}

tensor distances_by_kernel(model_ref m, tensor rows, tensor table) {
    const int64_t ne[4] = {table->ne[1], rows->ne[1], 1, 1};
    return kernel_node(m.g(), ne, {rows, table}, [=](tensor out, const kernels::team & team) {
        kernels::nearest_code_args a = kernel_args(rows, table);
        a.distances = static_cast<float *>(out->data);
        kernels::active().nearest_code(a, team);
    });
}

// Returns the sum of squares of each row: [1, n] in ggml's order.
tensor squared_lengths(ggml_context * ctx, tensor rows) {
    return ggml_sum_rows(ctx, ggml_sqr(ctx, rows));
}

// Computes the squared distances with ggml's operations: [codes, n] in ggml's order.
tensor stock_distances(ggml_context * ctx, tensor rows, tensor table) {
    tensor products = ggml_mul_mat(ctx, table, rows);
    ggml_mul_mat_set_prec(products, GGML_PREC_F32);
    tensor lengths = ggml_reshape_1d(ctx, squared_lengths(ctx, table), table->ne[1]);
    tensor sums = ggml_add(ctx, ggml_repeat(ctx, lengths, products), squared_lengths(ctx, rows));
    return ggml_sub(ctx, sums, ggml_scale(ctx, products, 2.0f));
}

// Argmax that returns the first one of equal values. ggml's argmax returns the last one on the CPU and any of
// them on GPUs, so it is used only to find the largest value; then the positions with that value are weighted
// in descending order and a second argmax picks the first.
tensor stock_largest(model_ref m, tensor x) {
    ggml_context * ctx = m.ctx();
    int64_t count = x->ne[0], rows = x->ne[1];
    tensor position_weights =
        m.g().computed(GGML_TYPE_F32, {count}, [count](const graph::host_data &, void * to) {
            for (int64_t i = 0; i < count; ++i) static_cast<float *>(to)[i] = static_cast<float>(count - i);
        });
    tensor any_largest = ggml_reshape_2d(ctx, ggml_argmax(ctx, x), 1, rows);
    tensor largest = ggml_get_rows(ctx, ggml_reshape_3d(ctx, x, 1, count, rows), any_largest);
    // sign is -1 below the largest value and 0 at it. ggml_step does not work here: step(0) is 0 on the CPU,
    // CUDA and Metal, and 1 on Vulkan.
    tensor sign = ggml_sgn(ctx, ggml_sub(ctx, x, ggml_reshape_2d(ctx, largest, 1, rows)));
    tensor equal = ggml_scale_bias(ctx, sign, 1.0f, 1.0f);
    return ggml_argmax(ctx, ggml_mul(ctx, equal, position_weights));
}

// Finds the nearest codes block by block, to limit the memory of the distances.
tensor stock_nearest(model_ref m, tensor rows, tensor table) {
    ggml_context * ctx = m.ctx();
    int64_t count = rows->ne[1], row_bytes = table->ne[1] * int64_t(sizeof(float));
    int64_t block = std::max({block_limit / row_bytes, (count + max_blocks - 1) / max_blocks, int64_t(1)});
    m.g().require_room(nodes_per_block * static_cast<size_t>(count / block + 1));
    tensor result = nullptr;
    for (int64_t row = 0; row < count; row += block) {
        int64_t n = std::min(block, count - row);
        tensor part = ggml_view_2d(ctx, rows, rows->ne[0], n, rows->nb[1], row * rows->nb[1]);
        tensor found = stock_largest(m, ggml_neg(ctx, stock_distances(ctx, part, table)));
        result = result ? ggml_concat(ctx, result, found, 0) : found;
    }
    return result;
}

// A NaN counts as the largest value, as in PyTorch.
void first_largest(const float * x, int64_t count, int32_t * to) {
    int64_t found = 0;
    for (int64_t i = 1; i < count && !std::isnan(x[found]); ++i) {
        if (x[i] > x[found] || std::isnan(x[i])) found = i;
    }
    *to = static_cast<int32_t>(found);
}

}  // namespace

tensor nearest_codes(model_ref m, tensor x, int64_t codes) {
    tensor rows = as_rows(m, x), table = codebook_weight(m, codes, x->ne[0]);
    return uses_kernel(m) ? nearest_by_kernel(m, rows, table) : stock_nearest(m, rows, table);
}

tensor code_distances(model_ref m, tensor x, int64_t codes) {
    tensor rows = as_rows(m, x), table = codebook_weight(m, codes, x->ne[0]);
    tensor d = uses_kernel(m) ? distances_by_kernel(m, rows, table) : stock_distances(m.ctx(), rows, table);
    return ggml_reshape_3d(m.ctx(), d, codes, x->ne[1], x->ne[2]);
}

tensor code_vectors(model_ref m, tensor indices, int64_t codes, int64_t width, int64_t batch) {
    int64_t count = ggml_nelements(indices);
    tensor flat = ggml_reshape_1d(m.ctx(), indices, count);
    tensor rows = ggml_get_rows(m.ctx(), codebook_weight(m, codes, width), flat);
    return ggml_reshape_3d(m.ctx(), rows, width, count / batch, batch);
}

tensor argmax(model_ref m, tensor x) {
    tensor rows = as_rows(m, x);
    if (!uses_kernel(m)) return stock_largest(m, rows);
    const int64_t ne[4] = {rows->ne[1], 1, 1, 1};
    auto run = [=](tensor out, const kernels::team & team) {
        for (int64_t row = team.index; row < rows->ne[1]; row += team.count) {
            first_largest(static_cast<const float *>(rows->data) + row * rows->ne[0], rows->ne[0],
                          static_cast<int32_t *>(out->data) + row);
        }
    };
    return kernel_node(m.g(), ne, {rows}, run, GGML_TYPE_I32);
}

tensor squared_distances(model_ref m, tensor x, tensor y) {
    tensor sums = squared_lengths(m.ctx(), ggml_sub(m.ctx(), x, y));
    return ggml_reshape_2d(m.ctx(), sums, x->ne[1], x->ne[2]);
}

}  // namespace safelight
