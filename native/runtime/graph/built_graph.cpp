#include "runtime/graph/built_graph.h"

#include <algorithm>
#include <cstring>
#include <unordered_set>
#include <vector>

#include "runtime/graph/shape.h"
#include "runtime/memory.h"

namespace safelight {

namespace {

constexpr int64_t max_node_bytes = int64_t(1) << 44;

host_tensor read(const graph::binding & from) {
    host_tensor out;
    out.type = from.value->type;
    out.dims = from.dims;
    out.size = ggml_nbytes(from.value);
    out.data.reset(new std::byte[out.size]);
    ggml_backend_tensor_get(from.value, out.data.get(), 0, out.size);
    return out;
}

void check_limits(const std::string & name, const host_tensor & input, graph::range allowed) {
    const std::byte * at = input.data.get();
    for (size_t i = 0; i < input.size; i += sizeof(int32_t)) {
        int32_t value = 0;
        std::memcpy(&value, at + i, sizeof value);
        if (value < allowed.smallest || value > allowed.largest) {
            throw error("INVALID_OPTION", "Expected integers between " + std::to_string(allowed.smallest) +
                                              " and " + std::to_string(allowed.largest) + " in the input " +
                                              name + " but received " + std::to_string(value));
        }
    }
}

// ggml computes sizes without looking for overflow: a node of absurd shape would get a buffer that is too
// small.
void check_size(const ggml_tensor * node) {
    int64_t count = element_count(shape(node->ne, node->ne + GGML_MAX_DIMS));
    if (count < 0 || count > max_node_bytes / static_cast<int64_t>(sizeof(float))) {
        out_of_memory(static_cast<uint64_t>(max_node_bytes), "A node of the run");
    }
}

}  // namespace

std::map<std::string, shape> shapes_of(const host_tensors & tensors) {
    std::map<std::string, shape> out;
    for (const auto & [name, t] : tensors) {
        out[name] = t.dims;
    }
    return out;
}

built_graph::built_graph(weight_source & weights, graph::options options, const architecture & model,
                         const std::string & entry, const host_tensors & inputs, const config & params)
    : graph_(weights, std::move(options)), ctx_(nullptr, ggml_free) {
    // The model knows nothing of overrides: the graph asks for them as it comes to their nodes.
    std::map<std::string, shape> own = shapes_of(inputs);
    for (const std::string & node : graph_.opts().overrides) own.erase(override_input(node));
    model.build(graph_, entry, own, params);
    check_overrides(inputs);
    check_inputs(inputs);
    check_taps();
    collect_nodes();
}

void built_graph::check_overrides(const host_tensors & inputs) const {
    for (const std::string & node : graph_.opts().overrides) {
        auto wanted = graph_.inputs.find(override_input(node));
        if (wanted == graph_.inputs.end()) {
            throw error("INVALID_OPTION",
                        "There is no node " + node + " to override; nodes() lists those there are");
        }
        const shape & given = inputs.at(override_input(node)).dims;
        if (given != wanted->second.dims) {
            throw error("SHAPE_MISMATCH", "Expected shape " + to_string(wanted->second.dims) +
                                              " for the node " + node + " but received " + to_string(given));
        }
    }
}

void built_graph::check_inputs(const host_tensors & inputs) const {
    for (const auto & [name, given] : inputs) {
        if (graph_.inputs.count(name) == 0) {
            throw error("INVALID_OPTION", "There is no input " + name);
        }
    }
    for (const auto & [name, wanted] : graph_.inputs) {
        auto given = inputs.find(name);
        if (given == inputs.end()) {
            throw error("INVALID_OPTION",
                        "The input " + name + " of shape " + to_string(wanted.dims) + " is missing");
        }
        bool typed = given->second.type != any_type;
        if (typed && given->second.type != wanted.value->type) {
            throw error("INVALID_OPTION", "Expected " + std::string(ggml_type_name(wanted.value->type)) +
                                              " data for the input " + name + " but received " +
                                              ggml_type_name(given->second.type));
        }
        if (element_count(given->second.dims) != element_count(wanted.dims)) {
            throw error("SHAPE_MISMATCH", "Expected shape " + to_string(wanted.dims) + " for the input " +
                                              name + " but received " + to_string(given->second.dims));
        }
    }
}

void built_graph::check_taps() const {
    for (const std::string & tap : graph_.opts().taps) {
        if (graph_.names.count(tap) == 0) {
            throw error("INVALID_OPTION",
                        "There is no node " + tap + " to tap; nodes() lists those there are");
        }
    }
}

// In the order in which the builder made them, not in ggml's (each node's first operand first, which is its
// weight): a weight that a layer expands must not exist before the layer's turn, and a timed run must find
// nodes next to their names.
void built_graph::collect_nodes() {
    std::vector<ggml_tensor *> made;
    for (ggml_tensor * t = ggml_get_first_tensor(graph_.ctx()); t != nullptr;
         t = ggml_get_next_tensor(graph_.ctx(), t)) {
        check_size(t);
        made.push_back(t);
    }
    size_t capacity = 1024 + 2 * made.size();  // each, and a weight that it may use
    ctx_.reset(
        ggml_init({2 * ggml_graph_overhead_custom(capacity, false) + 1024, nullptr, /*no_alloc*/ true}));
    ggml_cgraph * any_order = ggml_new_graph_custom(ctx_.get(), capacity, false);
    for (const std::string & name : graph_.name_order) {
        if (graph_.tapped(name)) {
            ggml_build_forward_expand(any_order, graph_.names.at(name).value);
        }
    }
    for (const auto & [name, out] : graph_.outputs) {
        ggml_build_forward_expand(any_order, out.value);
    }
    for (tensor x : graph_.effects) {
        ggml_build_forward_expand(any_order, x);
    }
    std::unordered_set<ggml_tensor *> needed;
    for (int i = 0; i < ggml_graph_n_nodes(any_order); i++) {
        needed.insert(ggml_graph_node(any_order, i));
    }
    nodes_ = ggml_new_graph_custom(ctx_.get(), capacity, false);
    for (ggml_tensor * t : made) {
        if (needed.count(t) > 0) {
            ggml_build_forward_expand(nodes_, t);
        }
    }
}

named_nodes built_graph::names() const {
    named_nodes out;
    for (const auto & [name, node] : graph_.names) {
        out[node.value] = name;
    }
    return out;
}

void built_graph::set_inputs(const host_tensors & inputs) const {
    graph::host_data data;
    for (const auto & [name, given] : inputs) {
        auto limits = graph_.limits.find(name);
        if (limits != graph_.limits.end()) {
            check_limits(name, given, limits->second);
        }
        data[name] = given.data.get();
        tensor to = graph_.inputs.at(name).value;
        if (to->buffer != nullptr) {  // null where nothing in the graph looks at it
            ggml_backend_tensor_set(to, given.data.get(), 0, given.size);
        }
    }
    for (const graph::host_binding & computed : graph_.computed_inputs) {
        // Filled even if no node takes it: a builder may check values here.
        std::vector<std::byte> values(ggml_nbytes(computed.value));
        computed.fill(data, values.data());
        if (computed.value->buffer != nullptr) {
            ggml_backend_tensor_set(computed.value, values.data(), 0, values.size());
        }
    }
}

host_tensors built_graph::outputs() const {
    host_tensors out;
    for (const auto & [name, from] : graph_.outputs) {
        out[name] = read(from);
    }
    return out;
}

host_tensors built_graph::taps() const {
    host_tensors out;
    for (const std::string & name : graph_.opts().taps) {
        out[name] = read(graph_.names.at(name));
    }
    return out;
}

}  // namespace safelight
