#pragma once

#include <memory>
#include <string>

#include "ggml-backend.h"
#include "runtime/memory.h"

namespace safelight {

// Memory on a device for one tensor, which it outlives no run of: on the CPU straight from the system, on a
// GPU a buffer of its backend.
class device_buffer {
  public:
    device_buffer() = default;
    // Gives `of`, a tensor without memory, a place on the device. Throws OUT_OF_MEMORY.
    device_buffer(ggml_backend_dev_t device, ggml_tensor * of, const std::string & purpose);

    uint64_t bytes() const { return buffer_ ? ggml_backend_buffer_get_size(buffer_.get()) : 0; }
    void clear() { ggml_backend_buffer_clear(buffer_.get(), 0); }

  private:
    struct deleter {
        void operator()(ggml_backend_buffer * buffer) const { ggml_backend_buffer_free(buffer); }
    };
    system_memory memory_;  // of the buffer, on the CPU
    std::unique_ptr<ggml_backend_buffer, deleter> buffer_;
};

}  // namespace safelight
