#pragma once

#include <cstdint>
#include <string_view>

#include "runtime/graph/graph.h"

namespace safelight {

// How a graph multiplies. On the CPU weights of any storage are expanded to f32 inside the graph, a layer at
// a time, since ggml's CPU products with f16 or quantized weights round the activations too. Other backends,
// and the stock-ops oracle, multiply with the weights as they are stored.
bool expands_weights(model_ref m);

// m.weight of a linear layer or a 1x1 convolution, [out, in], as it is stored.
tensor matrix_weight(model_ref m, int64_t out, int64_t in);
// m.weight of a square filter, [out, in, kernel, kernel], as it is stored.
tensor filter_weight(model_ref m, int64_t out, int64_t in, int64_t kernel);
// A norm's weight or a bias, [n], always f32.
tensor vector_weight(model_ref m, std::string_view part, int64_t n);

// A matrix as ggml's product takes it.
tensor as_matrix(model_ref m, tensor w);
// A filter as ggml's convolution takes it: f32, or f16 where the backend has that.
tensor as_filter(model_ref m, tensor w);

}  // namespace safelight
