#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <string>

#include "runtime/device/device_buffer.h"
#include "runtime/host_tensor.h"

namespace safelight {

// The bytes that a module's kept tensors hold; outlives the module with them.
using byte_counter = std::shared_ptr<std::atomic<uint64_t>>;

// An output that stays on its device after the run that computed it, or a part of one along the batch. Copies
// and slices share the memory, which is freed with the last of them; written once, it may be read from any
// thread.
class kept_tensor {
  public:
    // Takes memory for a tensor on the device. Throws OUT_OF_MEMORY.
    kept_tensor(ggml_backend_dev_t device, ggml_type type, shape dims, byte_counter counter);

    ggml_backend_dev_t device() const { return memory_->device; }
    ggml_type type() const { return memory_->value->type; }
    const shape & dims() const { return dims_; }
    uint64_t bytes() const { return static_cast<uint64_t>(count_) * ggml_type_size(type()); }

    // Copies the values of a contiguous tensor of the same type and size in; before anybody else has it.
    void write(const ggml_tensor * from) const;
    // Rows [from, to) of the first dimension. Throws INVALID_OPTION.
    kept_tensor slice(int64_t from, int64_t to) const;
    host_tensor read() const;
    // Copies the values into those of `to` from the `at`th on, on the device if both lie there.
    void copy_to(tensor to, int64_t at) const;

  private:
    struct memory {
        memory(ggml_backend_dev_t where, ggml_type type, int64_t count, byte_counter counter);
        ~memory();

        ggml_backend_dev_t device;
        std::unique_ptr<ggml_context, void (*)(ggml_context *)> ctx;
        tensor value;  // of one dimension
        byte_counter counter;
        device_buffer buffer;
    };

    std::shared_ptr<const memory> memory_;
    shape dims_;
    int64_t first_ = 0, count_ = 0;  // elements of the memory
};

using kept_tensors = std::map<std::string, kept_tensor>;

}  // namespace safelight
