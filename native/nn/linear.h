#pragma once

#include <cstdint>

#include "runtime/graph/graph.h"

namespace safelight {

// x·Wᵀ + b over the last dimension: [..., in] -> [..., out]. Weights m.weight [out, in] and m.bias [out].
tensor linear(model_ref m, tensor x, int64_t out);
tensor linear_without_bias(model_ref m, tensor x, int64_t out);

}  // namespace safelight
