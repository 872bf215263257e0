#pragma once

#include <cstdint>

#include "runtime/graph/graph.h"

namespace safelight {

// Linear layer over the last dimension, x·Wᵀ + b: [..., in] -> [..., out]. Weights m.weight [out, in], m.bias
// [out].
tensor linear(model_ref m, tensor x, int64_t out);
tensor linear_without_bias(model_ref m, tensor x, int64_t out);
// x·Wᵀ with the matrix w [out, in] in any storage type.
tensor multiply(model_ref m, tensor x, tensor w);

}  // namespace safelight
