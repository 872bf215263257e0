#include "nn/linear.h"

#include <algorithm>

#include "nn/fused/fusion.h"
#include "nn/weight.h"

namespace safelight {
namespace {

tensor fused(model_ref m, tensor x, int64_t out, tensor bias) {
    product p;
    p.in = as_prologue(m, ggml_is_contiguous(x) ? x : ggml_cont(m.ctx(), x));
    p.w = m.weight("weight", {out, x->ne[0]}, weight_role::matrix);
    p.bias = bias;
    p.out = out;
    std::copy_n(x->ne, 4, p.ne);
    p.ne[0] = out;
    return emit(m, p);
}

}  // namespace

tensor linear_without_bias(model_ref m, tensor x, int64_t out) {
    if (fuses(m)) return fused(m, x, out, nullptr);
    // One product over all rows of the batch: ggml would go through it item by item.
    tensor rows = ggml_reshape_2d(m.ctx(), x, x->ne[0], ggml_nrows(x));
    tensor y = ggml_mul_mat(m.ctx(), matrix_weight(m, out, x->ne[0]), rows);
    ggml_mul_mat_set_prec(y, GGML_PREC_F32);
    return ggml_reshape_4d(m.ctx(), y, out, x->ne[1], x->ne[2], x->ne[3]);
}

tensor linear(model_ref m, tensor x, int64_t out) {
    if (fuses(m)) return fused(m, x, out, vector_weight(m, "bias", out));
    return ggml_add(m.ctx(), linear_without_bias(m, x, out), vector_weight(m, "bias", out));
}

}  // namespace safelight
