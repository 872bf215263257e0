#pragma once

#include <functional>
#include <vector>

#include "kernels/kernels.h"
#include "runtime/graph/graph.h"

namespace safelight {

// A node that a kernel computes. `run` is called on every thread with the team; it reads the tensors
// that it captured, all of which have to be among `sources` (at most 9), so that they have memory and are
// computed before.
tensor kernel_node(graph & g, const int64_t ne[4], const std::vector<tensor> & sources,
                   std::function<void(tensor out, const kernels::team &)> run,
                   ggml_type type = GGML_TYPE_F32);

}  // namespace safelight
