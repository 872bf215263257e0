#include "nn/norm.h"

#include "nn/fused/fusion.h"
#include "nn/layout.h"
#include "nn/weight.h"

namespace safelight {

namespace {

// Returns y·(1 + scale) + shift for a modulation [2C, B] (ggml's order) of scales followed by shifts.
tensor modulated(model_ref m, tensor y, tensor modulation) {
    int64_t c = modulation->ne[0] / 2, batch = modulation->ne[1];
    auto half = [&](int64_t first) {
        tensor part = ggml_view_2d(m.ctx(), modulation, c, batch, modulation->nb[1], first * sizeof(float));
        return ggml_reshape_4d(m.ctx(), ggml_cont(m.ctx(), part), 1, 1, c, batch);
    };
    return ggml_add(m.ctx(), ggml_add(m.ctx(), y, ggml_mul(m.ctx(), y, half(0))), half(c));
}

// Returns weight / √(running_var + eps), [C].
tensor batch_norm_scale(model_ref m, int64_t c, float eps) {
    tensor variance = ggml_scale_bias(m.ctx(), vector_weight(m, "running_var", c), 1.0f, eps);
    return ggml_div(m.ctx(), vector_weight(m, "weight", c), ggml_sqrt(m.ctx(), variance));
}

}  // namespace

tensor group_norm(model_ref m, tensor x, group_norm_options o, tensor modulation) {
    int64_t c = dims_of_map(m, x).channels;
    if (fuses(m)) {
        prologue p;
        p.x = x;
        p.scale_shift = group_norm_scale_shift(m, x, vector_weight(m, "weight", c),
                                               vector_weight(m, "bias", c), o.groups, o.eps);
        if (modulation) p.scale_shift = modulated_scale_shift(m, p.scale_shift, modulation);
        return emit(m, p);
    }
    tensor weight = ggml_reshape_4d(m.ctx(), vector_weight(m, "weight", c), 1, 1, c, 1);
    tensor bias = ggml_reshape_4d(m.ctx(), vector_weight(m, "bias", c), 1, 1, c, 1);
    tensor y = ggml_group_norm(m.ctx(), x, static_cast<int>(o.groups), o.eps);
    y = ggml_add(m.ctx(), ggml_mul(m.ctx(), y, weight), bias);
    return modulation ? modulated(m, y, modulation) : y;
}

tensor batch_norm(model_ref m, tensor x, float eps) {
    int64_t c = dims_of_map(m, x).channels;
    tensor scale = batch_norm_scale(m, c, eps);
    x = multiply_channels(m, subtract_channels(m, x, vector_weight(m, "running_mean", c)), scale);
    return add_channels(m, x, vector_weight(m, "bias", c));
}

tensor batch_norm_tokens(model_ref m, tensor x, float eps) {
    int64_t c = dims_of_sequence(x).channels;
    tensor centered = ggml_sub(m.ctx(), x, vector_weight(m, "running_mean", c));
    x = ggml_mul(m.ctx(), centered, batch_norm_scale(m, c, eps));
    return ggml_add(m.ctx(), x, vector_weight(m, "bias", c));
}

tensor act_norm(model_ref m, tensor x) {
    int64_t c = dims_of_map(m, x).channels;
    x = add_channels(m, x, m.weight("loc", {1, c}, weight_role::vector));
    return multiply_channels(m, x, m.weight("scale", {1, c}, weight_role::vector));
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

tensor rms_norm(model_ref m, tensor x, float eps) {
    return ggml_mul(m.ctx(), ggml_rms_norm(m.ctx(), x, eps), vector_weight(m, "weight", x->ne[0]));
}

}  // namespace safelight
