#pragma once

#include <cstdint>

#include "nn/conv.h"
#include "runtime/graph/graph.h"

namespace safelight {

// Terms that a run's patches (weight_change in runtime/graph/graph.h) add to the product with m.weight. The
// weight itself is not modified, so its storage type and memory do not matter; a low-rank change costs two
// additional thin products.

// The factors of a low-rank term up · inner, where inner = scale · down · x.
struct inner_change {
    tensor inner = nullptr;
    tensor up = nullptr;
};

// Returns a change of all outputs of a linear layer that can be computed in the same node as the product;
// null if there is none.
const weight_change * includable_change(model_ref m, int64_t out);
inner_change inner_of(model_ref m, tensor x, const weight_change & change);

// Returns the terms of a linear layer except `included`, x [..., in] -> [..., out]; null if there are none.
tensor linear_change(model_ref m, tensor x, int64_t out, const weight_change * included = nullptr);
// Returns the term of a convolution, [B, in, H, W] -> [B, out, H', W']; null if no patch changes the weight.
tensor conv_change(model_ref m, tensor x, int64_t out, conv_options o);

}  // namespace safelight
