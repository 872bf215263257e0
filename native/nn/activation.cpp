#include "nn/activation.h"

#include "nn/fused/fusion.h"
#include "nn/layout.h"
#include "nn/weight.h"

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
    if (tensor y = with_rectifier(m, x, 0)) return y;
    return ggml_relu(m.ctx(), x);
}

tensor leaky_relu(model_ref m, tensor x, float slope) {
    if (tensor y = with_rectifier(m, x, slope)) return y;
    return ggml_leaky_relu(m.ctx(), x, slope, /*inplace*/ false);
}

tensor prelu(model_ref m, tensor x) {
    tensor slopes = vector_weight(m, "weight", dims_of_map(m, x).channels);
    if (tensor y = with_channel_rectifier(m, x, slopes)) return y;
    tensor positive = ggml_relu(m.ctx(), x);
    tensor negative = multiply_channels(m, ggml_sub(m.ctx(), x, positive), slopes);
    return ggml_add(m.ctx(), positive, negative);
}

tensor geglu(model_ref m, tensor x) {
    if (tensor y = with_activation(m, x, kernels::activation::geglu)) return y;
    return ggml_geglu_erf_swapped(m.ctx(), x);
}

}  // namespace safelight
