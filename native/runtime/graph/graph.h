#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "ggml.h"
#include "runtime/cancel.h"
#include "runtime/config.h"
#include "runtime/error.h"

namespace safelight {

using tensor = ggml_tensor *;
using shape = std::vector<int64_t>;  // in PyTorch's order, such as [B, C, H, W]; ggml's ne is the reverse

enum class weight_role { matrix, conv, embedding, vector };

struct weight_requirement {
    std::string name;
    shape dims;
    weight_role role;
};

// Source of a graph's parameters: the loaded weights, or a recorder that lists what the graph requests.
class weight_source {
  public:
    virtual ~weight_source() = default;
    // Throws MISSING_TENSOR or SHAPE_MISMATCH with the full name.
    virtual tensor get(const std::string & name, const shape & dims, weight_role role) = 0;
};

// `any_run`: the first run of a session that requests the state gets it filled with zeros. `earlier_run`: an
// earlier run of the session must have written the state.
enum class state_origin { any_run, earlier_run };

// Source of the tensors that persist in the module between runs.
class state_source {
  public:
    virtual ~state_source() = default;
    // Throws INVALID_OPTION without a session or a required earlier run, SHAPE_MISMATCH if the session has
    // the state in another shape, OUT_OF_MEMORY.
    virtual tensor get(const std::string & session, const std::string & name, ggml_type type,
                       const shape & dims, state_origin origin) = 0;
};

// A change to a weight, added to the product of the unchanged weight: scale · up · down · x (a LoRA), or
// scale · up · x if `down` is null (a full difference).
struct weight_change {
    tensor down;  // [r, columns, ...]
    tensor up;    // [rows, r], or the full difference [rows, columns, ...]
    float scale;
    int64_t row_begin, row_end;        // rows of the weight: the outputs that it changes
    int64_t column_begin, column_end;  // columns of the weight: the inputs that it reads
};

// Source of the weight changes of a run.
class weight_change_source {
  public:
    virtual ~weight_change_source() = default;
    // Returns the changes to a weight in the order of the patches; empty for an unchanged weight.
    virtual const std::vector<weight_change> & of(const std::string & name) const = 0;
    // Returns the rewritten copy of a weight, of the same shape; null if the weight is used as it was loaded.
    virtual tensor replacement(const std::string & name) const = 0;
};

// Returns the name of the input whose values replace those of a node.
inline const std::string override_prefix = "override ";
inline std::string override_input(const std::string & node) {
    return override_prefix + node;
}

class prepared_weights;

// The inputs of a run in host memory, by name.
class host_data {
  public:
    virtual ~host_data() = default;
    // Returns the input's f32 or i32 values, valid as long as this object. An input on a device is copied to
    // the host when it is first requested.
    virtual const void * at(const std::string & name) const = 0;
};

// State of the current run, shared with the graph's custom operations.
struct run_state {
    const cancel_token * cancel = nullptr;
    std::atomic<bool> out_of_memory{false};

    bool cancelled() const { return cancel && cancel->cancelled(); }
};

// Number formats of the CPU's products.
enum class product_precision { f32, bf16, int8 };

// A graph under construction: ggml context, inputs, outputs and named nodes. Names are stored here because
// ggml truncates them to 63 bytes. Models access it through model_ref.
class graph {
  public:
    struct options {
        bool cpu = true;         // CPU backend: nn/ may use our custom operations
        bool stock_ops = false;  // use ggml's own operations only, as on other backends
        product_precision precision = product_precision::f32;  // except within a full_precision scope
        bool packs_weights = true;        // keep weights in the layout of the kernels, not only as loaded
        bool packs_all_weights = false;   // also those of products that are too small to read them
        std::set<std::string> taps;       // nodes to read after the run; disables fusion
        std::set<std::string> overrides;  // nodes whose values are inputs (override_input); disables fusion
        bool list_nodes = false;          // build only to list the nodes; disables fusion
        state_source * states = nullptr;  // null if the graph is not run
        std::string session;              // session whose states the graph uses
        std::shared_ptr<const weight_change_source> weight_changes;  // null without patches
    };

    graph(weight_source & weights, options opts);
    ~graph();
    graph(const graph &) = delete;
    graph & operator=(const graph &) = delete;

    ggml_context * ctx() const { return ctx_; }
    const options & opts() const { return opts_; }
    bool unfused() const { return opts_.list_nodes || !opts_.taps.empty() || !opts_.overrides.empty(); }
    weight_source & weights() const { return weights_; }

    // Declares an input that the caller passes with each run: F32 or I32, of the shape `dims`.
    tensor input(const std::string & name, ggml_type type, const shape & dims);
    // Sets the range of an I32 input (token ids, positions). It is checked before each run, because ggml
    // aborts the process on an invalid index.
    void limit(const std::string & name, int64_t smallest, int64_t largest);
    // Declares a tensor that is computed on the host from the inputs of each run (a timestep's sinusoidal
    // embedding). `fill` writes ggml_nelements() values of the tensor's type.
    using host_data = safelight::host_data;
    tensor computed(ggml_type type, const shape & dims, std::function<void(const host_data &, void *)> fill);
    // Declares an output: I32 if x has integers, otherwise F32.
    void output(const std::string & name, tensor x, const shape & dims);

    // Makes x available to taps and overrides under this name. `dims` is its shape for the user (contiguous,
    // in PyTorch's order), by default the reverse of ne without leading ones. Returns x, made contiguous if
    // necessary, or the override's input.
    tensor name(const std::string & name, tensor x, shape dims = {});
    bool tapped(const std::string & name) const { return opts_.taps.count(name) > 0; }
    bool overridden(const std::string & name) const { return opts_.overrides.count(name) > 0; }
    // Returns a parameter reshaped to exactly `dims`. The source compares shapes ignoring dimensions of
    // size 1.
    tensor weight(const std::string & name, const shape & dims, weight_role role);
    // Returns the changes to a parameter; empty without patches.
    const std::vector<weight_change> & weight_changes(const std::string & name) const;
    // Returns a tensor of the shape `dims` that persists between the runs of a session. Write to it with
    // ggml_set_rows or ggml_cpy and read from their results, so that the read happens after the write; pass a
    // write that nothing in the graph reads to effect(). A run that fails while computing releases its
    // session, so that no later run reads a partial write.
    tensor state(const std::string & name, ggml_type type, const shape & dims,
                 state_origin origin = state_origin::any_run);
    // Computes x although no output depends on it.
    void effect(tensor x) { effects.push_back(x); }
    // Throws UNSUPPORTED_MODEL if the context has no room for this many more tensors, where ggml would abort.
    // Called for every weight and name; a builder must call it before a loop that creates thousands of nodes
    // without naming any.
    void require_room(size_t tensors) const;

    struct binding {
        tensor value;
        shape dims;
    };
    struct range {
        int64_t smallest, largest;
    };
    struct host_binding {
        tensor value;
        std::function<void(const host_data &, void *)> fill;
    };
    std::map<std::string, binding> inputs, outputs, names;
    std::map<std::string, range> limits;  // of I32 inputs
    std::vector<std::string> name_order;
    std::vector<host_binding> computed_inputs;
    // Nodes that read a weight in another layout: the weight, and the request for it, which is made if the
    // node is computed.
    struct preparation {
        const void * weight;
        std::function<void(prepared_weights &)> request;
    };
    std::map<const ggml_tensor *, preparation> preparations;
    std::map<const void *, std::string> own_weights;  // names of parameters as they were loaded, by data
    std::vector<tensor> effects;
    int full_precision = 0;  // open full_precision scopes
    bool wraps = false;      // convolutions pad maps with their opposite edges instead of zeros
    std::vector<std::shared_ptr<void>> keep;  // userdata of custom operations, owned by the graph
    std::shared_ptr<void> nn_state;           // state of nn/ while the graph is built
    run_state run;

  private:
    tensor override_value(const std::string & name, const ggml_tensor * x, const shape & dims);

    weight_source & weights_;
    options opts_;
    ggml_context * ctx_;
};

// Products of layers that are added to the graph during the lifetime of a scope are computed in f32 in any
// precision.
class full_precision {
  public:
    explicit full_precision(graph & g) : graph_(g) { ++graph_.full_precision; }
    ~full_precision() { --graph_.full_precision; }
    full_precision(const full_precision &) = delete;
    full_precision & operator=(const full_precision &) = delete;

  private:
    graph & graph_;
};

// A prefix in the tree of parameters, such as m["down_blocks"][0]["resnets"][1]. Names of weights and taps
// are relative to it.
class model_ref {
  public:
    explicit model_ref(graph & g, std::string prefix = "") : graph_(&g), prefix_(std::move(prefix)) {}

    model_ref operator[](std::string_view part) const { return model_ref(*graph_, path(part)); }
    model_ref operator[](const char * part) const { return model_ref(*graph_, path(part)); }
    model_ref operator[](int64_t index) const { return model_ref(*graph_, path(std::to_string(index))); }
    model_ref operator[](int index) const {
        return (*this)[int64_t(index)];
    }  // without this overload, a literal 0 would also match const char *

    graph & g() const { return *graph_; }
    ggml_context * ctx() const { return graph_->ctx(); }
    const std::string & prefix() const { return prefix_; }
    std::string path(std::string_view part) const {
        return prefix_.empty() ? std::string(part) : prefix_ + "." + std::string(part);
    }

    tensor weight(std::string_view part, const shape & dims, weight_role role) const {
        return graph_->weight(path(part), dims, role);
    }
    const std::vector<weight_change> & weight_changes(std::string_view part) const {
        return graph_->weight_changes(path(part));
    }
    // Names x after this prefix: "down_blocks.0.resnets.1".
    tensor named(tensor x, shape dims = {}) const { return graph_->name(prefix_, x, std::move(dims)); }
    tensor named(std::string_view part, tensor x, shape dims = {}) const {
        return graph_->name(path(part), x, std::move(dims));
    }

  private:
    graph * graph_;
    std::string prefix_;
};

// A kind of module: checks its config and builds the graphs of its entry points. Implemented in models/.
class architecture {
  public:
    virtual ~architecture() = default;
    virtual std::vector<std::string> entries() const = 0;
    // Builds the graph of an entry for these input shapes into g. Must check the shapes first (SHAPE_MISMATCH
    // or INVALID_OPTION) and must not depend on the values of weights.
    virtual void build(graph & g, const std::string & entry, const std::map<std::string, shape> & inputs,
                       const config & params) const = 0;
    // Builds every entry at a minimal size, to list the parameters with a recorder as weight source or to
    // check them.
    virtual void build_all(graph & g) const = 0;
};

// Throws UNSUPPORTED_MODEL for an unknown kind. Defined in models/registry.cpp.
std::unique_ptr<architecture> make_architecture(const std::string & kind, const config & cfg);

}  // namespace safelight
