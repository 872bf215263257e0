#pragma once

#include <cstdint>

#include "nn/conv.h"
#include "runtime/graph/graph.h"

namespace safelight {

// The terms that the patches of a run (weight_delta in runtime/graph/graph.h) add to a product with
// m.weight. The weight itself stays as it is, in whatever storage and place: a low-rank change costs two thin
// products beside its own.

// The term of a linear layer: x [..., in] -> [..., out], or null where nothing changes the weight.
tensor linear_change(model_ref m, tensor x, int64_t out);
// The term of a convolution: [B, in, H, W] -> [B, out, H', W'], or null.
tensor conv_change(model_ref m, tensor x, int64_t out, conv_options o);

}  // namespace safelight
