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

void check_limits(const std::string & name, const host_data & data, int64_t count, graph::range allowed) {
    const auto * at = static_cast<const std::byte *>(data.at(name));
    for (int64_t i = 0; i < count; i++) {
        int32_t value = 0;
        std::memcpy(&value, at + static_cast<size_t>(i) * sizeof value, sizeof value);
        if (value < allowed.smallest || value > allowed.largest) {
            throw error("INVALID_OPTION", "Expected integers between " + std::to_string(allowed.smallest) +
                                              " and " + std::to_string(allowed.largest) + " in the input " +
                                              name + " but received " + std::to_string(value));
        }
    }
}

// ggml does not check sizes for overflow: a node with an absurd shape would get a buffer that is too small.
void check_size(const ggml_tensor * node) {
    int64_t count = element_count(shape(node->ne, node->ne + GGML_MAX_DIMS));
    if (count < 0 || count > max_node_bytes / static_cast<int64_t>(sizeof(float))) {
        out_of_memory(static_cast<uint64_t>(max_node_bytes), "A node of the run");
    }
}

}  // namespace

built_graph::built_graph(weight_source & weights, graph::options options, const architecture & model,
                         const std::string & entry, const run_inputs & inputs, const config & params)
    : graph_(weights, std::move(options)), ctx_(nullptr, ggml_free) {
    // Models do not handle overrides: graph::name() declares their inputs when it reaches the nodes.
    std::map<std::string, shape> model_inputs = shapes_of(inputs);
    for (const std::string & node : graph_.opts().overrides) model_inputs.erase(override_input(node));
    graph_.wraps = params.boolean("seamless", false);
    model.build(graph_, entry, model_inputs, params);
    check_overrides(inputs);
    check_inputs(inputs);
    place_inputs(inputs);
    check_taps();
    collect_nodes();
}

void built_graph::check_overrides(const run_inputs & inputs) const {
    for (const std::string & node : graph_.opts().overrides) {
        auto declared = graph_.inputs.find(override_input(node));
        if (declared == graph_.inputs.end()) {
            throw error("INVALID_OPTION",
                        "There is no node " + node + " to override; nodes() lists the available ones");
        }
        const shape & received = inputs.at(override_input(node)).dims;
        if (received != declared->second.dims) {
            throw error("SHAPE_MISMATCH", "Expected shape " + to_string(declared->second.dims) +
                                              " for the node " + node + " but received " +
                                              to_string(received));
        }
    }
}

void built_graph::check_inputs(const run_inputs & inputs) const {
    for (const auto & [name, input] : inputs) {
        if (graph_.inputs.count(name) == 0) {
            throw error("INVALID_OPTION", "There is no input " + name);
        }
    }
    for (const auto & [name, declared] : graph_.inputs) {
        auto received = inputs.find(name);
        if (received == inputs.end()) {
            throw error("INVALID_OPTION",
                        "The input " + name + " of shape " + to_string(declared.dims) + " is missing");
        }
        bool typed = received->second.type != any_type;
        if (typed && received->second.type != declared.value->type) {
            throw error("INVALID_OPTION", "Expected " + std::string(ggml_type_name(declared.value->type)) +
                                              " data for the input " + name + " but received " +
                                              ggml_type_name(received->second.type));
        }
        if (element_count(received->second.dims) != element_count(declared.dims)) {
            throw error("SHAPE_MISMATCH", "Expected shape " + to_string(declared.dims) + " for the input " +
                                              name + " but received " + to_string(received->second.dims));
        }
    }
}

// Allocates inputs that are already on a GPU there. ggml's scheduler would place them in host memory and copy
// them to the GPU in every run.
void built_graph::place_inputs(const run_inputs & inputs) {
    for (const auto & [name, input] : inputs) {
        if (input.parts.empty()) {
            continue;
        }
        ggml_backend_dev_t device = input.parts.front().device();
        if (!ggml_backend_buft_is_host(ggml_backend_dev_buffer_type(device))) {
            placed_.emplace_back(device, graph_.inputs.at(name).value, "An input of the run");
        }
    }
}

void built_graph::check_taps() const {
    for (const std::string & tap : graph_.opts().taps) {
        if (graph_.names.count(tap) == 0) {
            throw error("INVALID_OPTION",
                        "There is no node " + tap + " to tap; nodes() lists the available ones");
        }
    }
}

// Collects the nodes that outputs, taps and effects depend on, in the order in which the builder created
// them. ggml's own order visits each node's first operand first, which is its weight: it would expand weights
// to f32 long before their layers run, and separate nodes from their names in timed runs.
void built_graph::collect_nodes() {
    std::vector<ggml_tensor *> all_nodes;
    for (ggml_tensor * t = ggml_get_first_tensor(graph_.ctx()); t != nullptr;
         t = ggml_get_next_tensor(graph_.ctx(), t)) {
        check_size(t);
        all_nodes.push_back(t);
    }
    size_t capacity = 1024 + 2 * all_nodes.size();  // each node, and a weight that it may use
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
    for (ggml_tensor * t : all_nodes) {
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

void built_graph::set_inputs(const run_inputs & inputs) const {
    host_inputs data(inputs);
    for (const auto & [name, input] : inputs) {
        auto limits = graph_.limits.find(name);
        if (limits != graph_.limits.end()) {
            check_limits(name, data, element_count(input.dims), limits->second);
        }
        tensor to = graph_.inputs.at(name).value;
        if (to->buffer != nullptr) {  // null if no node reads the input
            input.copy_to(to);
        }
    }
    for (const graph::host_binding & computed : graph_.computed_inputs) {
        // Call `fill` even if no node reads the tensor: a builder may check input values in it.
        std::vector<std::byte> values(ggml_nbytes(computed.value));
        computed.fill(data, values.data());
        if (computed.value->buffer != nullptr) {
            ggml_backend_tensor_set(computed.value, values.data(), 0, values.size());
        }
    }
}

device_tensors built_graph::reserve(const std::set<std::string> & names, ggml_backend_dev_t device,
                                    const byte_counter & counter) const {
    device_tensors out;
    for (const std::string & name : names) {
        auto found = graph_.outputs.find(name);
        if (found == graph_.outputs.end()) {
            std::string all;
            for (const auto & [output, ignored] : graph_.outputs) {
                all += (all.empty() ? "" : ", ") + output;
            }
            throw error("INVALID_OPTION",
                        "There is no output " + name + " to keep; the outputs of this run are " + all);
        }
        const graph::binding & from = found->second;
        out.emplace(name, device_tensor(device, from.value->type, from.dims, counter));
    }
    return out;
}

void built_graph::keep_outputs(const device_tensors & to) const {
    for (const auto & [name, kept] : to) {
        kept.write(graph_.outputs.at(name).value);
    }
}

host_tensors built_graph::outputs(const std::set<std::string> & kept) const {
    host_tensors out;
    for (const auto & [name, from] : graph_.outputs) {
        if (kept.count(name) == 0) {
            out[name] = read(from);
        }
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

graph_parameters request_weights(const graph & g, ggml_cgraph * nodes, prepared_weights & weights) {
    graph_parameters read;
    for (int i = 0; i < ggml_graph_n_nodes(nodes); ++i) {
        const ggml_tensor * node = ggml_graph_node(nodes, i);
        auto found = g.preparations.find(node);
        const void * prepared = nullptr;
        if (found != g.preparations.end()) {
            found->second.request(weights);
            prepared = found->second.weight;
            read.prepared.insert(prepared);
        }
        for (const ggml_tensor * source : node->src) {
            if (source == nullptr) continue;
            const void * data = (source->view_src != nullptr ? source->view_src : source)->data;
            if (data != prepared && g.own_weights.count(data) > 0) read.plain.insert(data);
        }
    }
    for (const void * data : read.plain) read.prepared.erase(data);
    return read;
}

}  // namespace safelight
