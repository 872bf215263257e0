#pragma once

#include "runtime/graph/graph.h"

namespace safelight {

// x·sigmoid(x)
tensor silu(model_ref m, tensor x);
// x·Φ(x), exact. (ggml_gelu is the tanh approximation and uses an f16 table on the CPU.)
tensor gelu(model_ref m, tensor x);
// x·sigmoid(1.702 x), CLIP's approximation. (ggml_gelu_quick uses an f16 table on the CPU.)
tensor quick_gelu(model_ref m, tensor x);
// x/2·(1 + tanh(√(2/π)·(x + 0.044715·x³))), transformers' gelu_new (Hendrycks & Gimpel 2016).
tensor gelu_tanh(model_ref m, tensor x);
// max(x, 0)
tensor relu(model_ref m, tensor x);
// x, or slope·x where x is negative
tensor leaky_relu(model_ref m, tensor x, float slope);
// x, or m.weight [C]·x where x is negative, per channel of a map (He et al. 2015)
tensor prelu(model_ref m, tensor x);
// a·gelu(b) of the two halves a and b of the last dimension (Shazeer 2020; halves ordered as in diffusers).
tensor geglu(model_ref m, tensor x);

}  // namespace safelight
