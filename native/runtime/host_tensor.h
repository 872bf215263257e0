#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <string>

#include "runtime/graph/graph.h"

namespace safelight {

// A tensor in the host's memory: contiguous, PyTorch's shape, F32 or I32.
struct host_tensor {
    ggml_type type = GGML_TYPE_F32;
    shape dims;
    std::unique_ptr<std::byte[]> data;
    size_t size = 0;  // bytes
};

using host_tensors = std::map<std::string, host_tensor>;

}  // namespace safelight
