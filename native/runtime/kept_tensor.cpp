#include "runtime/kept_tensor.h"

#include <utility>

#include "runtime/graph/shape.h"

namespace safelight {

namespace {

using context = std::unique_ptr<ggml_context, void (*)(ggml_context *)>;

context context_of(size_t tensors) {
    return {ggml_init({tensors * ggml_tensor_overhead(), nullptr, /*no_alloc*/ true}), ggml_free};
}

// Part of a contiguous tensor that has memory.
tensor part_of(ggml_context * ctx, tensor x, int64_t first, int64_t count) {
    tensor part = ggml_view_1d(ctx, x, count, static_cast<size_t>(first) * ggml_type_size(x->type));
    ggml_backend_view_init(part);
    return part;
}

}  // namespace

kept_tensor::memory::memory(ggml_backend_dev_t where, ggml_type type, int64_t count, byte_counter total)
    : device(where),
      ctx(context_of(1)),
      value(ggml_new_tensor_1d(ctx.get(), type, count)),
      counter(std::move(total)),
      buffer(device, value, "An output that is kept") {
    *counter += buffer.bytes();
}

kept_tensor::memory::~memory() {
    *counter -= buffer.bytes();
}

kept_tensor::kept_tensor(ggml_backend_dev_t device, ggml_type type, shape dims, byte_counter counter)
    : dims_(std::move(dims)), count_(element_count(dims_)) {
    memory_ = std::make_shared<const memory>(device, type, count_, std::move(counter));
}

void kept_tensor::write(const ggml_tensor * from) const {
    context ctx = context_of(1);
    // ggml's views take what they look at as writable.
    tensor all = part_of(ctx.get(), const_cast<tensor>(from), 0, count_);
    ggml_backend_tensor_copy(all, memory_->value);
}

kept_tensor kept_tensor::slice(int64_t from, int64_t to) const {
    int64_t rows = dims_.empty() ? 0 : dims_[0];
    if (from < 0 || to <= from || to > rows) {
        throw error("INVALID_OPTION", "Expected a range of at least one of the " + std::to_string(rows) +
                                          " rows of a tensor " + to_string(dims_) + " but received " +
                                          std::to_string(from) + " to " + std::to_string(to));
    }
    kept_tensor part = *this;
    int64_t row = count_ / rows;
    part.first_ += from * row;
    part.count_ = (to - from) * row;
    part.dims_[0] = to - from;
    return part;
}

host_tensor kept_tensor::read() const {
    host_tensor out;
    out.type = type();
    out.dims = dims_;
    out.size = bytes();
    out.data.reset(new std::byte[out.size]);
    ggml_backend_tensor_get(memory_->value, out.data.get(),
                            static_cast<size_t>(first_) * ggml_type_size(type()), out.size);
    return out;
}

void kept_tensor::copy_to(tensor to, int64_t at) const {
    context ctx = context_of(2);
    ggml_backend_tensor_copy(part_of(ctx.get(), memory_->value, first_, count_),
                             part_of(ctx.get(), to, at, count_));
}

}  // namespace safelight
