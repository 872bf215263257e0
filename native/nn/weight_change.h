#pragma once

#include <cstdint>

#include "nn/conv.h"
#include "runtime/graph/graph.h"

namespace safelight {

// Terms that a run's patches (weight_change in runtime/graph/graph.h) add to the product with m.weight. The
// weight itself is not modified, so its storage type and memory do not matter; a low-rank change costs two
// additional thin products.

// Returns the term of a linear layer, x [..., in] -> [..., out]; null if no patch changes the weight.
tensor linear_change(model_ref m, tensor x, int64_t out);
// Returns the term of a convolution, [B, in, H, W] -> [B, out, H', W']; null if no patch changes the weight.
tensor conv_change(model_ref m, tensor x, int64_t out, conv_options o);

}  // namespace safelight
