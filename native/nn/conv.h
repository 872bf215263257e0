#pragma once

#include <cstdint>

#include "runtime/graph/graph.h"

namespace safelight {

struct conv_options {
    int kernel = 3;
    int stride = 1;
    int padding = 1;  // zeros on each side
    bool bias = true;
};

// 2D convolution with square filters and an optional bias: [B, in, H, W] -> [B, out, H', W']. Weights
// m.weight [out, in, kernel, kernel] and m.bias [out].
tensor conv2d(model_ref m, tensor x, int64_t out, conv_options o = {});
// 2D convolution without bias with the filters w [out, in, kernel, kernel] in any storage type.
tensor convolve(model_ref m, tensor x, tensor w, conv_options o);
// 3x3 convolution of each channel by itself, stride 1, padding 1: [B, C, H, W] -> [B, C, H, W]. Weights
// m.weight [C, 1, 3, 3] and m.bias [C], always f32.
tensor depthwise_conv(model_ref m, tensor x);
// 1x1 convolution: a linear layer at each pixel. Weights m.weight [out, in] ([out, in, 1, 1] in files),
// m.bias [out].
tensor conv1x1(model_ref m, tensor x, int64_t out);

}  // namespace safelight
