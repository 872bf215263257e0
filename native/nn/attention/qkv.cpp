#include "nn/attention/qkv.h"

#include "nn/layout.h"
#include "nn/linear.h"

namespace safelight {

tensor projection(model_ref m, tensor x, int64_t width, bool bias) {
    return named_sequence(m, bias ? linear(m, x, width) : linear_without_bias(m, x, width));
}

qkv project_qkv(model_ref m, tensor x, tensor context, int64_t width, const qkv_layers & layers) {
    // The order of creation is also the order of execution.
    tensor q = projection(m[layers.q], x, width, layers.bias);
    tensor k = projection(m[layers.k], context, width, layers.bias);
    tensor v = projection(m[layers.v], context, width, layers.bias);
    return {q, k, v};
}

tensor packed_part(model_ref m, tensor qkv, int64_t heads, int64_t index) {
    const int64_t d = qkv->ne[0] / 3 / heads;
    tensor view = ggml_view_4d(m.ctx(), qkv, d, heads, qkv->ne[1], qkv->ne[2], d * sizeof(float), qkv->nb[1],
                               qkv->nb[2], static_cast<size_t>(index * d * heads) * sizeof(float));
    return ggml_permute(m.ctx(), view, 0, 2, 1, 3);
}

}  // namespace safelight
