#pragma once

#include <map>
#include <memory>

#include "runtime/executor.h"
#include "runtime/graph/graph.h"

namespace safelight {

// Of an input whose type is whatever the graph asks for, where only sizes matter.
inline constexpr ggml_type any_type = GGML_TYPE_COUNT;

// A tensor in the host's memory: contiguous, PyTorch's shape, F32 or I32.
struct host_tensor {
    ggml_type type = GGML_TYPE_F32;
    shape dims;
    std::unique_ptr<std::byte[]> data;
    size_t size = 0;  // bytes
};

using host_tensors = std::map<std::string, host_tensor>;

std::map<std::string, shape> shapes_of(const host_tensors & tensors);

// A graph of one entry at given shapes, ready to be allocated and run many times.
class built_graph {
  public:
    built_graph(weight_source & weights, graph::options options, const architecture & model,
                const std::string & entry, const host_tensors & inputs, const config & params);

    ggml_cgraph * nodes() const { return nodes_; }
    named_nodes names() const;
    run_state & state() { return graph_.run; }

    // Copies the inputs in and computes what derives from them. Throws INVALID_OPTION for a value that the
    // graph cannot take.
    void set_inputs(const host_tensors & inputs) const;
    host_tensors outputs() const;
    host_tensors taps() const;

  private:
    void check_inputs(const host_tensors & inputs) const;
    void check_overrides(const host_tensors & inputs) const;
    void check_taps() const;
    void collect_nodes();

    graph graph_;
    std::unique_ptr<ggml_context, void (*)(ggml_context *)> ctx_;  // of nodes_
    ggml_cgraph * nodes_ = nullptr;
};

}  // namespace safelight
