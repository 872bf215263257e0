#include "nn/norm.h"

#include "nn/fusion.h"
#include "nn/layout.h"
#include "nn/weight.h"

namespace safelight {

tensor group_norm(model_ref m, tensor x, group_norm_options o) {
    int64_t c = dims_of_map(m, x).channels;
    if (fuses(m)) {
        prologue p;
        p.x = x;
        p.scale_shift = group_norm_scale_shift(m, x, vector_weight(m, "weight", c),
                                               vector_weight(m, "bias", c), o.groups, o.eps);
        return emit(m, p);
    }
    tensor weight = ggml_reshape_4d(m.ctx(), vector_weight(m, "weight", c), 1, 1, c, 1);
    tensor bias = ggml_reshape_4d(m.ctx(), vector_weight(m, "bias", c), 1, 1, c, 1);
    tensor y = ggml_group_norm(m.ctx(), x, static_cast<int>(o.groups), o.eps);
    return ggml_add(m.ctx(), ggml_mul(m.ctx(), y, weight), bias);
}

tensor layer_norm(model_ref m, tensor x, float eps) {
    if (fuses(m) && ggml_is_contiguous(x)) {
        prologue p;
        p.x = x;
        p.gamma = vector_weight(m, "weight", x->ne[0]);
        p.beta = vector_weight(m, "bias", x->ne[0]);
        p.eps = eps;
        return emit(m, p);
    }
    tensor y = ggml_norm(m.ctx(), x, eps);
    y = ggml_mul(m.ctx(), y, vector_weight(m, "weight", x->ne[0]));
    return ggml_add(m.ctx(), y, vector_weight(m, "bias", x->ne[0]));
}

}  // namespace safelight
