#include "runtime/module.h"

#include <algorithm>
#include <chrono>

#include "runtime/device/device.h"
#include "runtime/graph/recorder.h"
#include "runtime/graph/shape.h"
#include "runtime/memory.h"
#include "runtime/threads.h"

namespace safelight {

namespace {

using clock = std::chrono::steady_clock;

double milliseconds_since(clock::time_point start) {
    return std::chrono::duration<double, std::milli>(clock::now() - start).count();
}

// Appends an unambiguous serialization of the value, so that two configs have equal keys only if they are
// equal.
void append_cache_key(std::string & key, const config & c) {
    if (const auto * flag = std::get_if<bool>(&c.raw())) {
        key += *flag ? "true" : "false";
    } else if (const auto * number = std::get_if<double>(&c.raw())) {
        key.append(reinterpret_cast<const char *>(number), sizeof *number);
    } else if (const auto * text = std::get_if<std::string>(&c.raw())) {
        key += std::to_string(text->size()) + ":" + *text;
    } else if (const auto * items = std::get_if<config::array>(&c.raw())) {
        key += "[";
        for (const config & item : *items) {
            append_cache_key(key, item);
            key += ",";
        }
        key += "]";
    } else if (const auto * fields = std::get_if<config::object>(&c.raw())) {
        key += "{";
        for (const auto & [name, field] : *fields) {
            key += std::to_string(name.size()) + ":" + name;
            append_cache_key(key, field);
            key += ",";
        }
        key += "}";
    } else {
        key += "null";
    }
}

// Returns a key of everything that a graph depends on.
std::string graph_key(const run_request & request) {
    std::string key =
        request.entry + "\n" + std::to_string(request.session.size()) + ":" + request.session + "\n";
    for (const auto & [name, input] : request.inputs) {
        key += name + ggml_type_name(input.type) + to_string(input.dims);
        key += input.parts.empty() ? "\n" : " kept\n";
    }
    key += std::to_string(request.patches.size()) + ":" + request.patches + "\n";
    append_cache_key(key, request.params);
    for (const std::string & tap : request.taps) {
        key += "\n" + tap;
    }
    return key;
}

void check_data(const std::string & name, const host_tensor & input) {
    size_t values = input.size / ggml_type_size(input.type);
    int64_t count = element_count(input.dims);
    if (count < 0 || static_cast<uint64_t>(count) != values) {
        throw error("SHAPE_MISMATCH", "The input " + name + " has " + std::to_string(values) +
                                          " values, which does not match its shape " + to_string(input.dims));
    }
}

void check_device(const std::string & name, const device_tensor & input, ggml_backend_dev_t device) {
    if (input.device() != device) {
        throw error("INVALID_OPTION", "The input " + name + " is on " +
                                          ggml_backend_dev_name(input.device()) + ", but this module is on " +
                                          ggml_backend_dev_name(device) +
                                          ": call read() and pass its result");
    }
}

}  // namespace

loaded_module::loaded_module(std::unique_ptr<architecture> model, const weight_plan & plan,
                             const module_options & options, const cancel_token & cancel,
                             std::function<void(uint64_t, uint64_t)> progress)
    : options_(options), model_(std::move(model)) {
    if (options_.threads == 0) {
        options_.threads = physical_cores();
    }
    device();  // throws early if the device does not exist
    required_ = requirements(*model_);
    weights_ =
        std::make_unique<weights>(plan, required_,
                                  weights::options{weight_device(), options_.threads, options_.map_weights,
                                                   cancel, std::move(progress), options_.discards_weights});
    prepared_ = options_.packed_file.empty()
                    ? std::make_unique<prepared_weights>()
                    : std::make_unique<prepared_weights>(options_.packed_file, options_.packed_weights);
    states_ = std::make_unique<session_states>(device());
    executor_ = make_executor(device(), options_.threads);
}

ggml_backend_dev_t loaded_module::device() const {
    return find_device(options_.backend, options_.device);
}

ggml_backend_dev_t loaded_module::weight_device() const {
    return options_.host_weights ? find_device("cpu") : device();
}

void loaded_module::check_inputs(const run_request & request) const {
    for (const auto & [name, input] : request.inputs) {
        if (input.parts.empty()) {
            check_data(name, input.host);
        }
        for (const device_tensor & part : input.parts) {
            check_device(name, part, device());
        }
    }
}

void loaded_module::check_entry_name(const std::string & entry) const {
    std::vector<std::string> entries = model_->entries();
    if (std::find(entries.begin(), entries.end(), entry) == entries.end()) {
        throw error("INVALID_OPTION", "This module has no entry " + entry);
    }
}

graph::options loaded_module::graph_options(const run_request & request) const {
    graph::options options;
    options.cpu = options_.backend == "cpu";
    options.stock_ops = options_.stock_ops || !options.cpu;
    options.precision = options_.precision;
    options.packs_weights = options_.packs_weights;
    options.taps = request.taps;
    for (const auto & [name, input] : request.inputs) {
        if (name.rfind(override_prefix, 0) == 0)
            options.overrides.insert(name.substr(override_prefix.size()));
    }
    options.states = states_.get();
    options.session = request.session;
    options.weight_changes = find_patches(request);
    return options;
}

std::shared_ptr<const patch_set> loaded_module::find_patches(const run_request & request) const {
    if (request.patches.empty()) return nullptr;
    auto found = patch_sets_.find(request.patches);
    if (found == patch_sets_.end()) {
        throw error("INVALID_OPTION",
                    "There is no patch set " + request.patches + "; register it with setPatches first");
    }
    return found->second;
}

void loaded_module::set_patches(const std::string & id, const patch_plan & plan,
                                const cancel_token & cancel) {
    if (id.empty()) throw error("INVALID_OPTION", "Expected a non-empty name for the patch set");
    std::shared_ptr<const patch_set> patches;
    if (!plan.patches.empty()) {
        auto no_progress = [](uint64_t, uint64_t) {};
        weights::options options{weight_device(), options_.threads, /*map*/ false, cancel, no_progress};
        std::set<std::string> rewritten;
        for (const auto & [name, storage] : plan.merged) rewritten.insert(name);
        weights_->restore(weights_->data_of(rewritten), options_.threads, cancel);
        patches = std::make_shared<patch_set>(plan, required_, *weights_, options);
    }
    if (last_patches_ == id) forget_graph();  // its graph references the old patch set
    if (patches) {
        patch_sets_[id] = std::move(patches);
    } else {
        patch_sets_.erase(id);
    }
    uint64_t total = 0;
    for (const auto & [name, set] : patch_sets_) total += set->bytes();
    patch_bytes_ = total;
    return_freed_memory();
}

void loaded_module::ensure_executor() {
    if (!executor_) {
        executor_ = make_executor(device(), options_.threads);
    }
}

uint64_t loaded_module::needed(const std::string & entry, const std::map<std::string, shape> & inputs,
                               const config & params, const std::string & patches) {
    check_entry_name(entry);
    run_request request;
    request.entry = entry;
    request.patches = patches;
    for (const auto & [name, dims] : inputs) {
        request.inputs[name].type = any_type;
        request.inputs[name].dims = dims;
    }
    built_graph graph(*weights_, graph_options(request), *model_, entry, request.inputs, params);
    ensure_executor();
    return executor_->needed(graph.nodes());
}

built_graph & loaded_module::graph_for(const run_request & request, const cancel_token & cancel) {
    std::string key = graph_key(request);
    if (!last_ || key != last_key_) {
        forget_graph();
        auto built = std::make_unique<built_graph>(*weights_, graph_options(request), *model_, request.entry,
                                                   request.inputs, request.params);
        prepare_weights(built->request(*prepared_), cancel);
        executor_->allocate(built->nodes());
        last_ = std::move(built);
        last_key_ = std::move(key);
        last_session_ = request.session;
        last_patches_ = request.patches;
    }
    return *last_;
}

void loaded_module::prepare_weights(const graph_parameters & read, const cancel_token & cancel) {
    std::set<const void *> needed = read.plain;
    needed.merge(prepared_->sources());
    weights_->restore(needed, options_.threads, cancel);
    prepared_->prepare(options_.threads, cancel, [&](const void * source) {
        if (options_.packs_weights && read.prepared.count(source) > 0) weights_->discard(source);
    });
    if (!options_.packs_weights) return;
    for (const void * data : read.prepared) weights_->discard(data);
}

std::vector<stored_weight> loaded_module::write_packed(const std::string & file, uint64_t offset,
                                                       const cancel_token & cancel) {
    graph::options options = graph_options({});
    options.states = nullptr;
    options.packs_all_weights = true;
    graph g(*weights_, options);
    model_->build_all(g);
    std::unique_ptr<ggml_context, void (*)(ggml_context *)> ctx(nullptr, ggml_free);
    size_t capacity = 1024;
    for (tensor t = ggml_get_first_tensor(g.ctx()); t != nullptr; t = ggml_get_next_tensor(g.ctx(), t))
        capacity += 2;
    ctx.reset(ggml_init({ggml_graph_overhead_custom(capacity, false) + 1024, nullptr, /*no_alloc*/ true}));
    ggml_cgraph * nodes = ggml_new_graph_custom(ctx.get(), capacity, false);
    // Entries have outputs of the same names, so that g.outputs has only the last ones.
    for (tensor t = ggml_get_first_tensor(g.ctx()); t != nullptr; t = ggml_get_next_tensor(g.ctx(), t)) {
        if ((t->flags & GGML_TENSOR_FLAG_OUTPUT) != 0) ggml_build_forward_expand(nodes, t);
    }
    prepare_weights(request_weights(g, nodes, *prepared_), cancel);
    return prepared_->write(file, offset, cancel);
}

void loaded_module::compute(built_graph & graph, bool timed, const cancel_token & cancel,
                            run_result & result) {
    graph.state().cancel = &cancel;  // read only by the nodes of this run
    graph.state().out_of_memory = false;
    if (timed) {
        result.timed = true;
        executor_->compute_timed(graph.nodes(), cancel, graph.names(),
                                 [&](const std::string & name, double ms) {
                                     if (!name.empty()) {  // empty for nodes after the last named one
                                         result.nodes[name] += ms;
                                     }
                                 });
    } else {
        executor_->compute(graph.nodes(), cancel);
    }
    if (graph.state().out_of_memory) {
        throw error("OUT_OF_MEMORY", "The CPU kernels could not allocate their scratch memory");
    }
    compute_bytes_ = std::max<uint64_t>(compute_bytes_, executor_->bytes());
}

void loaded_module::end_run() {
    if (!options_.release_buffers) {
        return;
    }
    // Resetting the executor also ends its threads, which own the kernels' scratch memory.
    forget_graph();
    executor_.reset();
    return_freed_memory();
}

run_result loaded_module::run(run_request & request, const cancel_token & cancel) {
    cancel.throw_if_cancelled();
    check_entry_name(request.entry);
    check_inputs(request);

    ensure_executor();
    run_result result;
    auto start = clock::now();
    bool computing = false;
    try {
        built_graph & graph = graph_for(request, cancel);
        device_tensors kept = graph.reserve(request.keep, device(), kept_bytes_);
        graph.set_inputs(request.inputs);
        result.build_ms = milliseconds_since(start);

        start = clock::now();
        computing = true;
        compute(graph, request.timings, cancel, result);
        result.compute_ms = milliseconds_since(start);
        states_->commit(request.session);

        graph.keep_outputs(kept);
        result.kept = std::move(kept);
        result.outputs = graph.outputs(request.keep);
        result.taps = graph.taps();
    } catch (...) {
        if (computing) {
            release(request.session);
        } else if (states_->drop_new(request.session)) {
            forget_graph();
        }
        throw;
    }
    return result;
}

void loaded_module::forget_graph() {
    last_.reset();
    last_key_.clear();
    last_session_.clear();
    last_patches_.clear();
}

void loaded_module::release(const std::string & session) {
    if (session.empty()) return;
    if (last_session_ == session) forget_graph();  // its nodes point to the states freed below
    states_->release(session);
}

std::vector<node_info> loaded_module::nodes(const std::string & entry,
                                            const std::map<std::string, shape> & inputs,
                                            const config & params) const {
    check_entry_name(entry);
    graph::options options;
    options.cpu = options_.backend == "cpu";
    options.stock_ops = options_.stock_ops || !options.cpu;
    options.list_nodes = true;
    graph g(*weights_, options);
    model_->build(g, entry, inputs, params);
    std::vector<node_info> out;
    out.reserve(g.name_order.size());
    for (const std::string & name : g.name_order) {
        out.push_back({name, g.names.at(name).dims});
    }
    return out;
}

}  // namespace safelight
