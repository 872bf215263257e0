#pragma once

#include <cstdint>
#include <string_view>

#include "runtime/graph/graph.h"

namespace safelight {

// Returns true if weights are expanded to f32 in the graph, one layer at a time. This is done on the CPU,
// because ggml's CPU products with f16 or quantized weights also round the activations. Other backends, and
// graphs of stock operations, multiply with the weights in their storage type.
bool expands_weights(model_ref m);

// Returns m.weight [out, in] of a linear layer or a 1x1 convolution in its storage type.
tensor matrix_weight(model_ref m, int64_t out, int64_t in);
// Returns m.weight [out, in, kernel, kernel] of a convolution in its storage type.
tensor filter_weight(model_ref m, int64_t out, int64_t in, int64_t kernel);
// Returns a bias or the weight of a norm, [n], always f32.
tensor vector_weight(model_ref m, std::string_view part, int64_t n);

// Returns a matrix in the type used for ggml's product.
tensor as_matrix(model_ref m, tensor w);
// Returns a filter in the type used for ggml's convolution: f32, or f16 if the backend supports it.
tensor as_filter(model_ref m, tensor w);

}  // namespace safelight
