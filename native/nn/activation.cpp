#include "nn/activation.h"

namespace safelight {

tensor silu(model_ref m, tensor x) {
    return ggml_silu(m.ctx(), x);
}

tensor gelu(model_ref m, tensor x) {
    return ggml_gelu_erf(m.ctx(), x);
}

tensor quick_gelu(model_ref m, tensor x) {
    return ggml_mul(m.ctx(), x, ggml_sigmoid(m.ctx(), ggml_scale(m.ctx(), x, 1.702f)));
}

tensor geglu(model_ref m, tensor x) {
    return ggml_geglu_erf_swapped(m.ctx(), x);
}

}  // namespace safelight
