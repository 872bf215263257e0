#pragma once

#include <map>
#include <memory>

#include "runtime/executor.h"
#include "runtime/graph/graph.h"
#include "runtime/graph/run_input.h"

namespace safelight {

// Type of an input that accepts whatever type the graph declares. Used when only shapes matter.
inline constexpr ggml_type any_type = GGML_TYPE_COUNT;

// The data of the parameters that a graph reads: as they were loaded, or in another layout only.
struct graph_parameters {
    std::set<const void *> plain, prepared;
};
// Requests the weights that the nodes of a graph read in another layout.
graph_parameters request_weights(const graph & g, ggml_cgraph * nodes, prepared_weights & weights);

// The graph of one entry for fixed input shapes. It can be allocated once and run many times.
class built_graph {
  public:
    built_graph(weight_source & weights, graph::options options, const architecture & model,
                const std::string & entry, const run_inputs & inputs, const config & params);

    ggml_cgraph * nodes() const { return nodes_; }
    named_nodes names() const;
    run_state & state() { return graph_.run; }

    // Requests the weights that the nodes read in another layout.
    graph_parameters request(prepared_weights & weights) const {
        return request_weights(graph_, nodes_, weights);
    }
    // Copies the inputs into the graph and fills the tensors that are computed from them on the host. Throws
    // INVALID_OPTION for a value outside of an input's limits.
    void set_inputs(const run_inputs & inputs) const;
    // Allocates device memory for the outputs to keep; keep_outputs() fills it after a run. Throws
    // INVALID_OPTION for a name that is not an output, and OUT_OF_MEMORY.
    device_tensors reserve(const std::set<std::string> & names, ggml_backend_dev_t device,
                           const byte_counter & counter) const;
    void keep_outputs(const device_tensors & to) const;
    // Returns all outputs except those in `kept`.
    host_tensors outputs(const std::set<std::string> & kept) const;
    host_tensors taps() const;

  private:
    void check_inputs(const run_inputs & inputs) const;
    void check_overrides(const run_inputs & inputs) const;
    void place_inputs(const run_inputs & inputs);
    void check_taps() const;
    void collect_nodes();

    graph graph_;
    std::vector<device_buffer> placed_;                            // memory of inputs on a GPU
    std::unique_ptr<ggml_context, void (*)(ggml_context *)> ctx_;  // owns nodes_
    ggml_cgraph * nodes_ = nullptr;
};

}  // namespace safelight
