#pragma once

#include <string>

#include "ggml-backend.h"
#include "runtime/graph/graph.h"
#include "runtime/memory.h"

namespace safelight {

// Tensors without data, then one buffer for all of them on a device.
class weight_buffer {
  public:
    explicit weight_buffer(size_t tensors);
    ~weight_buffer();
    weight_buffer(const weight_buffer &) = delete;
    weight_buffer & operator=(const weight_buffer &) = delete;

    // A tensor with the reverse of `dims` as ne.
    tensor add(ggml_type type, const shape & dims);
    // Allocates every tensor that has no data yet. Throws OUT_OF_MEMORY, naming `purpose`.
    void allocate(ggml_backend_dev_t device, const std::string & purpose);
    bool contains(const ggml_tensor * x) const { return buffer_ != nullptr && x->buffer == buffer_; }
    uint64_t bytes() const;

  private:
    ggml_context * ctx_ = nullptr;
    system_memory memory_;  // of the buffer, on the CPU
    ggml_backend_buffer_t buffer_ = nullptr;
};

}  // namespace safelight
