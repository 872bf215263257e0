#pragma once

#include <map>
#include <memory>

#include "runtime/executor.h"
#include "runtime/graph/graph.h"
#include "runtime/graph/run_input.h"

namespace safelight {

// Of an input whose type is whatever the graph asks for, where only sizes matter.
inline constexpr ggml_type any_type = GGML_TYPE_COUNT;

// A graph of one entry at given shapes, ready to be allocated and run many times.
class built_graph {
  public:
    built_graph(weight_source & weights, graph::options options, const architecture & model,
                const std::string & entry, const run_inputs & inputs, const config & params);

    ggml_cgraph * nodes() const { return nodes_; }
    named_nodes names() const;
    run_state & state() { return graph_.run; }

    // Copies the inputs in and computes what derives from them. Throws INVALID_OPTION for a value that the
    // graph cannot take.
    void set_inputs(const run_inputs & inputs) const;
    // Memory on the device for outputs that stay there, to be filled by keep_outputs() after a run. Throws
    // INVALID_OPTION for a name that is no output, OUT_OF_MEMORY.
    kept_tensors reserve(const std::set<std::string> & names, ggml_backend_dev_t device,
                         const byte_counter & counter) const;
    void keep_outputs(const kept_tensors & to) const;
    // All but those that are kept.
    host_tensors outputs(const std::set<std::string> & kept) const;
    host_tensors taps() const;

  private:
    void check_inputs(const run_inputs & inputs) const;
    void check_overrides(const run_inputs & inputs) const;
    void place_inputs(const run_inputs & inputs);
    void check_taps() const;
    void collect_nodes();

    graph graph_;
    std::vector<device_buffer> placed_;                            // of inputs
    std::unique_ptr<ggml_context, void (*)(ggml_context *)> ctx_;  // of nodes_
    ggml_cgraph * nodes_ = nullptr;
};

}  // namespace safelight
