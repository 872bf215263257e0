#include "runtime/graph/run_input.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "runtime/graph/shape.h"

namespace safelight {

run_input::run_input(host_tensor from) : type(from.type), dims(from.dims), host(std::move(from)) {}

run_input::run_input(std::vector<device_tensor> from, const std::string & name) : parts(std::move(from)) {
    if (parts.empty()) {
        throw error("INVALID_OPTION", "Expected at least one kept tensor for the input " + name);
    }
    type = parts.front().type();
    dims = parts.front().dims();
    for (size_t i = 1; i < parts.size(); i++) {
        const shape & next = parts[i].dims();
        bool fits = !dims.empty() && next.size() == dims.size() &&
                    std::equal(next.begin() + 1, next.end(), dims.begin() + 1);
        if (!fits) {
            throw error("SHAPE_MISMATCH",
                        "Expected tensors that differ only in their first dimension for the input " + name +
                            " but received " + to_string(parts.front().dims()) + " and " + to_string(next));
        }
        if (parts[i].type() != type) {
            throw error("INVALID_OPTION", "Expected tensors of the same type for the input " + name +
                                              " but received " + ggml_type_name(type) + " and " +
                                              ggml_type_name(parts[i].type()));
        }
        dims[0] += next[0];
    }
}

void run_input::copy_to(tensor to) const {
    if (parts.empty()) {
        ggml_backend_tensor_set(to, host.data.get(), 0, host.size);
        return;
    }
    int64_t offset = 0;
    for (const device_tensor & part : parts) {
        part.copy_to(to, offset);
        offset += element_count(part.dims());
    }
}

std::map<std::string, shape> shapes_of(const run_inputs & inputs) {
    std::map<std::string, shape> out;
    for (const auto & [name, input] : inputs) {
        out[name] = input.dims;
    }
    return out;
}

const void * host_inputs::at(const std::string & name) const {
    const run_input & input = inputs_.at(name);
    if (input.parts.empty()) {
        return input.host.data.get();
    }
    std::unique_ptr<std::byte[]> & copy = copies_[name];
    if (!copy) {
        copy.reset(
            new std::byte[static_cast<size_t>(element_count(input.dims)) * ggml_type_size(input.type)]);
        size_t at = 0;
        for (const device_tensor & part : input.parts) {
            host_tensor read = part.read();
            std::memcpy(copy.get() + at, read.data.get(), read.size);
            at += read.size;
        }
    }
    return copy.get();
}

}  // namespace safelight
