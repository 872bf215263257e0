#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <string>

#include "runtime/device/device_buffer.h"
#include "runtime/host_tensor.h"

namespace safelight {

// Number of bytes in a module's device tensors. Shared with the tensors, because they may outlive the module.
using byte_counter = std::shared_ptr<std::atomic<uint64_t>>;

// An output that stays on its device after the run that computed it (the run option `keep`), or a slice of
// one along the batch. Copies and slices share the memory, which is freed with the last reference. It is
// written once and may then be read from any thread.
class device_tensor {
  public:
    // Allocates a tensor on the device. Throws OUT_OF_MEMORY.
    device_tensor(ggml_backend_dev_t device, ggml_type type, shape dims, byte_counter counter);

    ggml_backend_dev_t device() const { return memory_->device; }
    ggml_type type() const { return memory_->value->type; }
    const shape & dims() const { return dims_; }
    uint64_t bytes() const { return static_cast<uint64_t>(count_) * ggml_type_size(type()); }

    // Copies the values of a contiguous tensor of the same type and size into this one. Call it before the
    // tensor is shared with other threads.
    void write(const ggml_tensor * from) const;
    // Returns rows [from, to) of the first dimension. Throws INVALID_OPTION for an empty or invalid range.
    device_tensor slice(int64_t from, int64_t to) const;
    host_tensor read() const;
    // Copies the values into `to`, starting at element `offset`; on the device if both tensors are there.
    void copy_to(tensor to, int64_t offset) const;

  private:
    struct memory {
        memory(ggml_backend_dev_t target, ggml_type type, int64_t count, byte_counter counter);
        ~memory();

        ggml_backend_dev_t device;
        std::unique_ptr<ggml_context, void (*)(ggml_context *)> ctx;
        tensor value;  // one-dimensional
        byte_counter counter;
        device_buffer buffer;
    };

    std::shared_ptr<const memory> memory_;
    shape dims_;
    int64_t first_ = 0, count_ = 0;  // range of elements in the memory
};

using device_tensors = std::map<std::string, device_tensor>;

}  // namespace safelight
