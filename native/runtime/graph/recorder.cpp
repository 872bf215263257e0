#include "runtime/graph/recorder.h"

#include "runtime/graph/shape.h"

namespace safelight {

namespace {
constexpr size_t max_parameters = 1 << 16;
constexpr int64_t max_parameter_elements = int64_t(1) << 40;
}  // namespace

recorder::recorder()
    : ctx_(ggml_init({max_parameters * ggml_tensor_overhead(), nullptr, /*no_alloc*/ true})) {}

recorder::~recorder() {
    ggml_free(ctx_);
}

tensor recorder::get(const std::string & name, const shape & dims, weight_role role) {
    auto found = known_.find(name);
    if (found != known_.end()) {
        return found->second;
    }
    if (required_.size() + 1 >= max_parameters) {
        throw error("UNSUPPORTED_MODEL", "The model's config requires more than " +
                                             std::to_string(max_parameters) + " parameters");
    }
    int64_t count = element_count(dims);
    if (dims.empty() || dims.size() > GGML_MAX_DIMS || count <= 0 || count > max_parameter_elements) {
        throw error("UNSUPPORTED_MODEL", "The model's config requires the parameter " + name +
                                             " with the invalid shape " + to_string(dims));
    }
    std::vector<int64_t> ne(dims.rbegin(), dims.rend());
    tensor t = ggml_new_tensor(ctx_, GGML_TYPE_F32, static_cast<int>(ne.size()), ne.data());
    known_.emplace(name, t);
    required_.push_back({name, dims, role});
    return t;
}

std::vector<weight_requirement> requirements(const architecture & model) {
    recorder weights;
    graph::options options;
    options.list_nodes = true;
    graph g(weights, options);
    model.build_all(g);
    return weights.required();
}

}  // namespace safelight
