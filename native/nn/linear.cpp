#include "nn/linear.h"

#include <algorithm>

#include "nn/fused/fusion.h"
#include "nn/layout.h"
#include "nn/weight.h"
#include "nn/weight_change.h"

namespace safelight {
namespace {

tensor fused(model_ref m, tensor x, tensor w, tensor bias) {
    product p;
    p.in = as_prologue(m, ggml_is_contiguous(x) ? x : ggml_cont(m.ctx(), x));
    p.w = w;
    p.bias = bias;
    p.out = w->ne[1];
    std::copy_n(x->ne, 4, p.ne);
    p.ne[0] = p.out;
    return emit(m, p);
}

// Multiplies all rows of the batch at once; ggml would otherwise compute one product per item.
tensor stock(model_ref m, tensor x, tensor w) {
    tensor rows = ggml_reshape_2d(m.ctx(), x, x->ne[0], ggml_nrows(x));
    tensor y = ggml_mul_mat(m.ctx(), as_matrix(m, w), rows);
    ggml_mul_mat_set_prec(y, GGML_PREC_F32);
    return ggml_reshape_4d(m.ctx(), y, w->ne[1], x->ne[1], x->ne[2], x->ne[3]);
}

tensor with_change(model_ref m, tensor x, tensor y, int64_t out) {
    tensor change = linear_change(m, x, out);
    return change ? add(m, y, change) : y;
}

}  // namespace

tensor multiply(model_ref m, tensor x, tensor w) {
    return fuses(m) ? fused(m, x, w, nullptr) : stock(m, x, w);
}

tensor linear_without_bias(model_ref m, tensor x, int64_t out) {
    tensor y = multiply(m, x, matrix_weight(m, out, x->ne[0]));
    return with_change(m, x, y, out);
}

tensor linear(model_ref m, tensor x, int64_t out) {
    tensor w = matrix_weight(m, out, x->ne[0]);
    tensor bias = vector_weight(m, "bias", out);
    tensor y = fuses(m) ? fused(m, x, w, bias) : ggml_add(m.ctx(), stock(m, x, w), bias);
    return with_change(m, x, y, out);
}

}  // namespace safelight
