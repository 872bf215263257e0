#include "runtime/graph/run_input.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "runtime/graph/shape.h"

namespace safelight {

run_input::run_input(host_tensor from) : type(from.type), dims(from.dims), host(std::move(from)) {}

run_input::run_input(std::vector<kept_tensor> parts, const std::string & name) : kept(std::move(parts)) {
    if (kept.empty()) {
        throw error("INVALID_OPTION", "Expected at least one kept tensor for the input " + name);
    }
    type = kept.front().type();
    dims = kept.front().dims();
    for (size_t i = 1; i < kept.size(); i++) {
        const shape & next = kept[i].dims();
        bool fits = !dims.empty() && next.size() == dims.size() &&
                    std::equal(next.begin() + 1, next.end(), dims.begin() + 1);
        if (!fits) {
            throw error("SHAPE_MISMATCH",
                        "Expected tensors that differ in their first dimension only for the input " + name +
                            " but received " + to_string(kept.front().dims()) + " and " + to_string(next));
        }
        if (kept[i].type() != type) {
            throw error("INVALID_OPTION", "Expected tensors of one type for the input " + name +
                                              " but received " + ggml_type_name(type) + " and " +
                                              ggml_type_name(kept[i].type()));
        }
        dims[0] += next[0];
    }
}

void run_input::copy_to(tensor to) const {
    if (kept.empty()) {
        ggml_backend_tensor_set(to, host.data.get(), 0, host.size);
        return;
    }
    int64_t at = 0;
    for (const kept_tensor & part : kept) {
        part.copy_to(to, at);
        at += element_count(part.dims());
    }
}

std::map<std::string, shape> shapes_of(const run_inputs & inputs) {
    std::map<std::string, shape> out;
    for (const auto & [name, input] : inputs) {
        out[name] = input.dims;
    }
    return out;
}

const void * inputs_on_host::at(const std::string & name) const {
    const run_input & input = inputs_.at(name);
    if (input.kept.empty()) {
        return input.host.data.get();
    }
    std::unique_ptr<std::byte[]> & copy = copies_[name];
    if (!copy) {
        copy.reset(
            new std::byte[static_cast<size_t>(element_count(input.dims)) * ggml_type_size(input.type)]);
        size_t at = 0;
        for (const kept_tensor & part : input.kept) {
            host_tensor read = part.read();
            std::memcpy(copy.get() + at, read.data.get(), read.size);
            at += read.size;
        }
    }
    return copy.get();
}

}  // namespace safelight
