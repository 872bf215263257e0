#include "runtime/device_tensor.h"

#include <utility>

#include "runtime/graph/shape.h"

namespace safelight {

namespace {

using context = std::unique_ptr<ggml_context, void (*)(ggml_context *)>;

context make_context(size_t tensors) {
    return {ggml_init({tensors * ggml_tensor_overhead(), nullptr, /*no_alloc*/ true}), ggml_free};
}

// Returns a one-dimensional view of `count` elements of a contiguous, allocated tensor.
tensor make_view(ggml_context * ctx, tensor x, int64_t first, int64_t count) {
    tensor view = ggml_view_1d(ctx, x, count, static_cast<size_t>(first) * ggml_type_size(x->type));
    ggml_backend_view_init(view);
    return view;
}

}  // namespace

device_tensor::memory::memory(ggml_backend_dev_t target, ggml_type type, int64_t count, byte_counter total)
    : device(target),
      ctx(make_context(1)),
      value(ggml_new_tensor_1d(ctx.get(), type, count)),
      counter(std::move(total)),
      buffer(device, value, "A kept output") {
    *counter += buffer.bytes();
}

device_tensor::memory::~memory() {
    *counter -= buffer.bytes();
}

device_tensor::device_tensor(ggml_backend_dev_t device, ggml_type type, shape dims, byte_counter counter)
    : dims_(std::move(dims)), count_(element_count(dims_)) {
    memory_ = std::make_shared<const memory>(device, type, count_, std::move(counter));
}

void device_tensor::write(const ggml_tensor * from) const {
    context ctx = make_context(1);
    // ggml has no view of a const tensor.
    tensor all = make_view(ctx.get(), const_cast<tensor>(from), 0, count_);
    ggml_backend_tensor_copy(all, memory_->value);
}

device_tensor device_tensor::slice(int64_t from, int64_t to) const {
    int64_t rows = dims_.empty() ? 0 : dims_[0];
    if (from < 0 || to <= from || to > rows) {
        throw error("INVALID_OPTION", "Expected a range of at least one of the " + std::to_string(rows) +
                                          " rows of a tensor of shape " + to_string(dims_) +
                                          " but received rows " + std::to_string(from) + " to " +
                                          std::to_string(to));
    }
    device_tensor view = *this;
    int64_t row = count_ / rows;
    view.first_ += from * row;
    view.count_ = (to - from) * row;
    view.dims_[0] = to - from;
    return view;
}

host_tensor device_tensor::read() const {
    host_tensor out;
    out.type = type();
    out.dims = dims_;
    out.size = bytes();
    out.data.reset(new std::byte[out.size]);
    ggml_backend_tensor_get(memory_->value, out.data.get(),
                            static_cast<size_t>(first_) * ggml_type_size(type()), out.size);
    return out;
}

void device_tensor::copy_to(tensor to, int64_t offset) const {
    context ctx = make_context(2);
    ggml_backend_tensor_copy(make_view(ctx.get(), memory_->value, first_, count_),
                             make_view(ctx.get(), to, offset, count_));
}

}  // namespace safelight
