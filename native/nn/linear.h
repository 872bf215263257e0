#pragma once

#include <cstdint>

#include "runtime/graph/graph.h"

namespace safelight {

// x·Wᵀ + b over the last dimension: [..., in] -> [..., out]. Weights m.weight [out, in] and m.bias [out].
tensor linear(model_ref m, tensor x, int64_t out);
tensor linear_without_bias(model_ref m, tensor x, int64_t out);
// x·Wᵀ with a matrix W [out, in] of any storage that the caller has.
tensor multiply(model_ref m, tensor x, tensor w);

}  // namespace safelight
