#pragma once

#include <cstdint>

#include "runtime/graph/graph.h"

namespace safelight {

struct conv_options {
    int kernel = 3;
    int stride = 1;
    int padding = 1;  // on each side, zeros
    bool bias = true;
};

// Cross-correlation of a map with square filters, plus bias unless told otherwise: [B, in, H, W] ->
// [B, out, H', W']. Weights m.weight [out, in, kernel, kernel] and m.bias [out].
tensor conv2d(model_ref m, tensor x, int64_t out, conv_options o = {});
// The same without bias and with filters [out, in, kernel, kernel] of any storage that the caller has.
tensor convolve(model_ref m, tensor x, tensor w, conv_options o);
// A linear layer at each pixel: m.weight [out, in] (files hold [out, in, 1, 1]), m.bias [out].
tensor conv1x1(model_ref m, tensor x, int64_t out);

}  // namespace safelight
