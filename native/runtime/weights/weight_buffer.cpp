#include "runtime/weights/weight_buffer.h"

#include "ggml-alloc.h"
#include "runtime/device/device.h"

namespace safelight {

weight_buffer::weight_buffer(size_t tensors)
    : ctx_(ggml_init({(tensors + 1) * ggml_tensor_overhead(), nullptr, /*no_alloc*/ true})) {}

weight_buffer::~weight_buffer() {
    ggml_backend_buffer_free(buffer_);
    ggml_free(ctx_);
}

tensor weight_buffer::add(ggml_type type, const shape & dims) {
    std::vector<int64_t> ne(dims.rbegin(), dims.rend());
    return ggml_new_tensor(ctx_, type, static_cast<int>(ne.size()), ne.data());
}

void weight_buffer::allocate(ggml_backend_dev_t device, const std::string & purpose) {
    ggml_backend_buffer_type_t type = ggml_backend_dev_buffer_type(device);
    size_t size = ggml_backend_alloc_ctx_tensors_from_buft_size(ctx_, type);
    require_memory(size, available_memory(device), purpose);
    if (size > 0 && type == ggml_backend_cpu_buffer_type()) {
        memory_ = system_memory(size);
        buffer_ = ggml_backend_cpu_buffer_from_ptr(memory_.data(), size);
        ggml_tallocr places = ggml_tallocr_new(buffer_);
        for (tensor t = ggml_get_first_tensor(ctx_); t != nullptr; t = ggml_get_next_tensor(ctx_, t)) {
            if (t->data == nullptr) {
                ggml_tallocr_alloc(&places, t);
            }
        }
    } else if (size > 0) {
        buffer_ = ggml_backend_alloc_ctx_tensors_from_buft(ctx_, type);
    }
    if (size > 0 && buffer_ == nullptr) {
        out_of_memory(size, purpose);
    }
    if (buffer_ != nullptr) {
        ggml_backend_buffer_set_usage(buffer_, GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
    }
}

uint64_t weight_buffer::bytes() const {
    return buffer_ == nullptr ? 0 : ggml_backend_buffer_get_size(buffer_);
}

}  // namespace safelight
