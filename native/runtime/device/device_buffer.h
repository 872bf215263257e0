#pragma once

#include <memory>
#include <string>

#include "ggml-backend.h"
#include "runtime/memory.h"

namespace safelight {

// Memory on a device for one tensor: mapped directly from the system on the CPU, a buffer of the backend on a
// GPU.
class device_buffer {
  public:
    device_buffer() = default;
    // Allocates memory for `target`, a tensor without memory. Throws OUT_OF_MEMORY; `purpose` is the subject
    // of its message.
    device_buffer(ggml_backend_dev_t device, ggml_tensor * target, const std::string & purpose);

    uint64_t bytes() const { return buffer_ ? ggml_backend_buffer_get_size(buffer_.get()) : 0; }
    void clear() { ggml_backend_buffer_clear(buffer_.get(), 0); }

  private:
    struct deleter {
        void operator()(ggml_backend_buffer * buffer) const { ggml_backend_buffer_free(buffer); }
    };
    system_memory memory_;  // backs buffer_ on the CPU
    std::unique_ptr<ggml_backend_buffer, deleter> buffer_;
};

}  // namespace safelight
