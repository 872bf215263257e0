#pragma once

#include <cstdint>
#include <string>

#include "runtime/graph/graph.h"

namespace safelight {

// Activations are maps [B, C, H, W] or sequences [B, T, C] (PyTorch's order). In ggml's order (fastest
// dimension first) a sequence is [C, T, B]; a map is [W, H, C, B], or channels-last [C, W, H, B] if our
// kernels compute the graph (fusion.h). Models must use these functions instead of reading ne.

struct map_dims {
    int64_t batch, channels, height, width;
};
struct sequence_dims {
    int64_t batch, length, channels;
};

map_dims dims_of_map(model_ref m, tensor x);
sequence_dims dims_of_sequence(tensor x);

// Declare a map as an input or output of the graph, in PyTorch's order for the caller.
tensor map_input(model_ref m, const std::string & name, const shape & dims);
void map_output(model_ref m, const std::string & name, tensor x);

// [B, C, H, W] -> [B, H*W, C], in row-major order of the pixels.
tensor sequence_from_map(model_ref m, tensor x);
// [B, H*W, C] -> [B, C, H, W]
tensor map_from_sequence(model_ref m, tensor x, int64_t height, int64_t width);

// Returns channels [first, first + count) of a sequence: [B, T, C] -> [B, T, count].
tensor channel_range(model_ref m, tensor x, int64_t first, int64_t count);
// Returns the mean of each channel over all tokens of a sequence: [B, T, C] -> [B, 1, C].
tensor channel_means(model_ref m, tensor x);
// Pads a map of tokens [B, H·W, C] with zeros at the bottom and at the right, and removes such a padding:
// [B, H·W, C] <-> [B, H'·W', C].
tensor pad_tokens(model_ref m, tensor x, int64_t height, int64_t width, int64_t to_height, int64_t to_width);
tensor crop_tokens(model_ref m, tensor x, int64_t height, int64_t width, int64_t to_height, int64_t to_width);

// Concatenates two maps along the channels.
tensor concat_channels(model_ref m, tensor a, tensor b);
// x + v with v [B, C] broadcast over the pixels of each map.
tensor add_to_channels(model_ref m, tensor x, tensor v);
// Elementwise operations with v [C], broadcast over all pixels of all maps.
tensor add_channels(model_ref m, tensor x, tensor v);
tensor subtract_channels(model_ref m, tensor x, tensor v);
tensor multiply_channels(model_ref m, tensor x, tensor v);
tensor divide_channels(model_ref m, tensor x, tensor v);
// Adds two tensors of the same shape (a skip connection).
tensor add(model_ref m, tensor a, tensor b);
// scale·x + y of the same shape (a skip connection with a scaled residual).
tensor scaled_sum(model_ref m, tensor x, float scale, tensor y);

// Name x after m's prefix, so that it can be tapped in the shape that PyTorch's module of that name returns.
tensor named_map(model_ref m, tensor x);
tensor named_sequence(model_ref m, tensor x);
// [B, C]
tensor named_vector(model_ref m, tensor x);

}  // namespace safelight
