#include "runtime/device/device_buffer.h"

#include "runtime/device/device.h"

namespace safelight {

device_buffer::device_buffer(ggml_backend_dev_t device, ggml_tensor * target, const std::string & purpose) {
    ggml_backend_buffer_type_t buffer_type = ggml_backend_dev_buffer_type(device);
    size_t size = GGML_PAD(ggml_backend_buft_get_alloc_size(buffer_type, target),
                           ggml_backend_buft_get_alignment(buffer_type));
    require_memory(size, available_memory(device), purpose);
    if (buffer_type == ggml_backend_cpu_buffer_type()) {
        memory_ = system_memory(size);
        buffer_.reset(ggml_backend_cpu_buffer_from_ptr(memory_.data(), size));
    } else {
        buffer_.reset(ggml_backend_buft_alloc_buffer(buffer_type, size));
    }
    if (!buffer_ ||
        ggml_backend_tensor_alloc(buffer_.get(), target, ggml_backend_buffer_get_base(buffer_.get())) !=
            GGML_STATUS_SUCCESS) {
        out_of_memory(size, purpose);
    }
}

}  // namespace safelight
