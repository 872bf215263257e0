#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <string>

#include "runtime/graph/graph.h"

namespace safelight {

// A contiguous F32 or I32 tensor in host memory, with its shape in PyTorch's order.
struct host_tensor {
    ggml_type type = GGML_TYPE_F32;
    shape dims;
    std::unique_ptr<std::byte[]> data;
    size_t size = 0;  // bytes
};

using host_tensors = std::map<std::string, host_tensor>;

}  // namespace safelight
