#pragma once

#include <functional>
#include <vector>

#include "kernels/kernels.h"
#include "runtime/graph/graph.h"

namespace safelight {

// Creates a node computed by `run`, which is called on every thread of the team. All tensors that `run`
// captures must be in `sources` (at most 9), so that they are allocated and computed before.
tensor kernel_node(graph & g, const int64_t ne[4], const std::vector<tensor> & sources,
                   std::function<void(tensor out, const kernels::team &)> run,
                   ggml_type type = GGML_TYPE_F32);

// Returns the values of an f32 tensor that is in memory; null for null.
inline const float * float_data(tensor x) {
    return x ? static_cast<const float *>(x->data) : nullptr;
}

}  // namespace safelight
