#include "nn/linear.h"

#include "nn/weight.h"

namespace safelight {

tensor linear_without_bias(model_ref m, tensor x, int64_t out) {
    // One product over all rows of the batch: ggml would go through it item by item.
    tensor rows = ggml_reshape_2d(m.ctx(), x, x->ne[0], ggml_nrows(x));
    tensor y = ggml_mul_mat(m.ctx(), matrix_weight(m, out, x->ne[0]), rows);
    ggml_mul_mat_set_prec(y, GGML_PREC_F32);
    return ggml_reshape_4d(m.ctx(), y, out, x->ne[1], x->ne[2], x->ne[3]);
}

tensor linear(model_ref m, tensor x, int64_t out) {
    return ggml_add(m.ctx(), linear_without_bias(m, x, out), vector_weight(m, "bias", out));
}

}  // namespace safelight
