#include "runtime/graph/graph.h"

#include <algorithm>
#include <limits>

#include "runtime/graph/shape.h"

namespace safelight {

namespace {

// SDXL with taps has about 10,000 tensors. Untouched pages of the context use no memory.
constexpr size_t max_tensors = 1 << 17;
constexpr size_t margin = 1024;  // tensors that a builder may add between two calls of require_room()

// Far larger than any image, latent or text; keeps products of dimensions within int64.
constexpr int64_t max_input_elements = int64_t(1) << 33;
constexpr int64_t max_side = std::numeric_limits<int32_t>::max();

tensor new_tensor(ggml_context * ctx, ggml_type type, const shape & dims) {
    std::vector<int64_t> ne(dims.rbegin(), dims.rend());
    return ggml_new_tensor(ctx, type, static_cast<int>(ne.size()), ne.data());
}

// Returns the shape in PyTorch's order: the reverse of ne without leading ones.
shape visible_shape(const ggml_tensor * x) {
    int last = GGML_MAX_DIMS - 1;
    while (last > 0 && x->ne[last] == 1) {
        last--;
    }
    shape dims;
    for (int i = last; i >= 0; i--) {
        dims.push_back(x->ne[i]);
    }
    return dims;
}

// Prevents the allocator from reusing x's memory for a later node. A view has no memory, so its source is
// protected as well.
void keep_readable(tensor x) {
    for (tensor t = x; t != nullptr; t = t->view_src) {
        ggml_set_output(t);
    }
}

void check_dims(const std::string & name, const ggml_tensor * x, const shape & dims) {
    if (element_count(dims) != ggml_nelements(x)) {
        throw error("INTERNAL", "The graph declares " + name + " with the shape " + to_string(dims) +
                                    ", but it has " + to_string(visible_shape(x)));
    }
}

}  // namespace

graph::graph(weight_source & weights, options opts) : weights_(weights), opts_(std::move(opts)) {
    ggml_init_params params = {max_tensors * ggml_tensor_overhead(), nullptr, /*no_alloc*/ true};
    ctx_ = ggml_init(params);
}

graph::~graph() {
    ggml_free(ctx_);
}

void graph::require_room(size_t tensors) const {
    size_t needed = (tensors + margin) * ggml_tensor_overhead();
    if (ggml_get_mem_size(ctx_) - ggml_used_mem(ctx_) < needed) {
        throw error("UNSUPPORTED_MODEL", "The model's graph has more than " + std::to_string(max_tensors) +
                                             " nodes; its config has too many layers");
    }
}

tensor graph::input(const std::string & name, ggml_type type, const shape & dims) {
    require_room(1);
    if (dims.empty() || dims.size() > GGML_MAX_DIMS) {
        throw error("SHAPE_MISMATCH",
                    "Expected 1 to 4 dimensions for the input " + name + " but received " + to_string(dims));
    }
    if (!std::all_of(dims.begin(), dims.end(), [](int64_t n) { return n > 0 && n <= max_side; }) ||
        element_count(dims) > max_input_elements) {
        throw error("SHAPE_MISMATCH", "Expected positive dimensions and at most " +
                                          std::to_string(max_input_elements) + " elements for the input " +
                                          name + " but received " + to_string(dims));
    }
    auto existing = inputs.find(name);
    if (existing != inputs.end() && existing->second.dims == dims) {
        return existing->second.value;
    }
    tensor x = new_tensor(ctx_, type, dims);
    ggml_set_input(x);
    inputs[name] = {x, dims};
    return x;
}

void graph::limit(const std::string & name, int64_t smallest, int64_t largest) {
    limits[name] = {smallest, largest};
}

tensor graph::computed(ggml_type type, const shape & dims,
                       std::function<void(const host_data &, void *)> fill) {
    require_room(1);
    tensor x = new_tensor(ctx_, type, dims);
    ggml_set_input(x);
    computed_inputs.push_back({x, std::move(fill)});
    return x;
}

void graph::output(const std::string & name, tensor x, const shape & dims) {
    require_room(2);
    check_dims(name, x, dims);
    if (x->type != GGML_TYPE_F32 && x->type != GGML_TYPE_I32) {
        x = ggml_cast(ctx_, x, GGML_TYPE_F32);
    } else if (!ggml_is_contiguous(x)) {
        x = ggml_cont(ctx_, x);
    }
    keep_readable(x);
    outputs[name] = {x, dims};
}

tensor graph::name(const std::string & name, tensor x, shape dims) {
    require_room(2);
    if (dims.empty()) {
        dims = visible_shape(x);
    }
    check_dims(name, x, dims);
    if (overridden(name) && names.count(name) == 0) {
        x = override_value(name, x, dims);
    }
    if (tapped(name) || opts_.list_nodes) {
        if (!ggml_is_contiguous(x)) {
            x = ggml_cont(ctx_, x);
        }
    }
    tensor readable = x;
    if (tapped(name)) {
        if (x->type != GGML_TYPE_F32 && x->type != GGML_TYPE_I32) {
            readable = ggml_cast(ctx_, x, GGML_TYPE_F32);
        }
        keep_readable(readable);
    }
    if (names.emplace(name, binding{readable, std::move(dims)}).second) {
        name_order.push_back(name);
    }
    return x;
}

tensor graph::override_value(const std::string & name, const ggml_tensor * x, const shape & dims) {
    require_room(3);
    ggml_type type = x->type == GGML_TYPE_I32 ? GGML_TYPE_I32 : GGML_TYPE_F32;
    tensor value = input(override_input(name), type, dims);
    if (x->type != type) {
        value = ggml_cast(ctx_, value, x->type);
    }
    return ggml_reshape_4d(ctx_, value, x->ne[0], x->ne[1], x->ne[2], x->ne[3]);
}

tensor graph::weight(const std::string & name, const shape & dims, weight_role role) {
    require_room(1);
    tensor w = weights_.get(name, dims, role);
    if (tensor copy = opts_.weight_changes ? opts_.weight_changes->replacement(name) : nullptr) {
        w = copy;
    } else {
        own_weights.emplace(w->data, name);
    }
    std::vector<int64_t> ne(dims.rbegin(), dims.rend());
    ne.resize(GGML_MAX_DIMS, 1);
    if (std::equal(ne.begin(), ne.end(), w->ne)) {
        return w;
    }
    return ggml_reshape_4d(ctx_, w, ne[0], ne[1], ne[2], ne[3]);
}

const std::vector<weight_change> & graph::weight_changes(const std::string & name) const {
    static const std::vector<weight_change> none;
    return opts_.weight_changes ? opts_.weight_changes->of(name) : none;
}

tensor graph::state(const std::string & name, ggml_type type, const shape & dims, state_origin origin) {
    require_room(1);
    return opts_.states ? opts_.states->get(opts_.session, name, type, dims, origin)
                        : new_tensor(ctx_, type, dims);
}

}  // namespace safelight
