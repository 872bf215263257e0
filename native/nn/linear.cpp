#include "nn/linear.h"

#include <algorithm>

#include "nn/fused/fusion.h"
#include "nn/layout.h"
#include "nn/weight.h"
#include "nn/weight_change.h"

namespace safelight {
namespace {

tensor fused(model_ref m, tensor x, tensor w, tensor bias, inner_change change = {}) {
    product p;
    p.second_in = change.inner;
    p.second_w = change.up;
    p.in = as_prologue(m, ggml_is_contiguous(x) ? x : ggml_cont(m.ctx(), x));
    p.w = w;
    p.bias = bias;
    p.out = w->ne[1];
    std::copy_n(x->ne, 4, p.ne);
    p.ne[0] = p.out;
    p.precision = precision_of_rows(m, p.ne[1]);
    return emit(m, p);
}

// Multiplies all rows of the batch at once; ggml would otherwise compute one product per item.
tensor stock(model_ref m, tensor x, tensor w) {
    tensor rows = ggml_reshape_2d(m.ctx(), x, x->ne[0], ggml_nrows(x));
    tensor y = ggml_mul_mat(m.ctx(), as_matrix(m, w), rows);
    ggml_mul_mat_set_prec(y, GGML_PREC_F32);
    return ggml_reshape_4d(m.ctx(), y, w->ne[1], x->ne[1], x->ne[2], x->ne[3]);
}

// Returns x W + bias and the terms of patches. A fused graph computes one of them with the product itself.
tensor patched(model_ref m, tensor x, tensor w, tensor bias, int64_t out) {
    tensor y;
    const weight_change * included = nullptr;
    if (fuses(m)) {
        included = includable_change(m, out);
        y = fused(m, x, w, bias, included ? inner_of(m, x, *included) : inner_change{});
    } else {
        y = bias ? ggml_add(m.ctx(), stock(m, x, w), bias) : stock(m, x, w);
    }
    tensor change = linear_change(m, x, out, included);
    return change ? add(m, y, change) : y;
}

}  // namespace

tensor multiply(model_ref m, tensor x, tensor w) {
    return fuses(m) ? fused(m, x, w, nullptr) : stock(m, x, w);
}

tensor linear_without_bias(model_ref m, tensor x, int64_t out) {
    return patched(m, x, matrix_weight(m, out, x->ne[0]), nullptr, out);
}

tensor linear(model_ref m, tensor x, int64_t out) {
    tensor w = matrix_weight(m, out, x->ne[0]);
    return patched(m, x, w, vector_weight(m, "bias", out), out);
}

}  // namespace safelight
