#pragma once

#include <cstdint>
#include <string>

#include "runtime/graph/graph.h"

namespace safelight {

// Activations come in two forms: a map, PyTorch's [B, C, H, W], and a sequence, PyTorch's [B, T, C]. In
// ggml's order (fastest first) a sequence lies as [C, T, B] and a map as [W, H, C, B], or channels-last as
// [C, W, H, B] where our kernels compute (fusion.h). Models ask here instead of reading ne.

struct map_dims {
    int64_t batch, channels, height, width;
};
struct sequence_dims {
    int64_t batch, length, channels;
};

map_dims dims_of_map(model_ref m, tensor x);
sequence_dims dims_of_sequence(tensor x);

// The caller's data as a map, and a map as the caller's data: PyTorch's order outside.
tensor map_input(model_ref m, const std::string & name, const shape & dims);
void map_output(model_ref m, const std::string & name, tensor x);

// [B, C, H, W] -> [B, H*W, C], row by row of the picture.
tensor sequence_from_map(model_ref m, tensor x);
// [B, H*W, C] -> [B, C, H, W]
tensor map_from_sequence(model_ref m, tensor x, int64_t height, int64_t width);

// Joins two maps by their channels, a's first.
tensor concat_channels(model_ref m, tensor a, tensor b);
// x + v, one number of v [B, C] for each channel of each map of x.
tensor add_to_channels(model_ref m, tensor x, tensor v);
// x and one number of v [C] for each channel, the same for all maps.
tensor add_channels(model_ref m, tensor x, tensor v);
tensor subtract_channels(model_ref m, tensor x, tensor v);
tensor multiply_channels(model_ref m, tensor x, tensor v);
tensor divide_channels(model_ref m, tensor x, tensor v);
// The sum of two tensors of one shape (a residual).
tensor add(model_ref m, tensor a, tensor b);

// Make x readable under m's own path, in the shape that PyTorch's module of that name would give.
tensor named_map(model_ref m, tensor x);
tensor named_sequence(model_ref m, tensor x);
// [B, C]
tensor named_vector(model_ref m, tensor x);

}  // namespace safelight
