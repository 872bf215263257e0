#include "nn/activation.h"

#include "nn/fused/fusion.h"

namespace safelight {

tensor silu(model_ref m, tensor x) {
    if (tensor y = with_silu_of_norm(m, x)) return y;
    if (tensor y = with_activation(m, x, kernels::activation::silu)) return y;
    return ggml_silu(m.ctx(), x);
}

tensor gelu(model_ref m, tensor x) {
    if (tensor y = with_activation(m, x, kernels::activation::gelu)) return y;
    return ggml_gelu_erf(m.ctx(), x);
}

tensor quick_gelu(model_ref m, tensor x) {
    if (tensor y = with_activation(m, x, kernels::activation::quick_gelu)) return y;
    return ggml_mul(m.ctx(), x, ggml_sigmoid(m.ctx(), ggml_scale(m.ctx(), x, 1.702f)));
}

tensor gelu_tanh(model_ref m, tensor x) {
    if (tensor y = with_activation(m, x, kernels::activation::gelu_tanh)) return y;
    constexpr float slope = 1.5957691216f, cubic = 0.044715f;  // slope = 2·√(2/π)
    tensor inner = ggml_scale_bias(m.ctx(), ggml_sqr(m.ctx(), x), slope * cubic, slope);
    return ggml_mul(m.ctx(), x, ggml_sigmoid(m.ctx(), ggml_mul(m.ctx(), x, inner)));
}

tensor relu(model_ref m, tensor x) {
    return ggml_relu(m.ctx(), x);
}

tensor leaky_relu(model_ref m, tensor x, float slope) {
    return ggml_leaky_relu(m.ctx(), x, slope, /*inplace*/ false);
}

tensor geglu(model_ref m, tensor x) {
    if (tensor y = with_activation(m, x, kernels::activation::geglu)) return y;
    return ggml_geglu_erf_swapped(m.ctx(), x);
}

}  // namespace safelight
