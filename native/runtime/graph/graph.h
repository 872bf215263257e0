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
using shape = std::vector<int64_t>;  // PyTorch's order: [B, C, H, W]; ggml's ne is the reverse

enum class weight_role { matrix, conv, embedding, vector };

struct weight_requirement {
    std::string name;
    shape dims;
    weight_role role;
};

// Where a graph takes its parameters from: the loaded weights, or a recorder that lists what is asked for.
class weight_source {
  public:
    virtual ~weight_source() = default;
    // Throws MISSING_TENSOR or SHAPE_MISMATCH with the full name.
    virtual tensor get(const std::string & name, const shape & dims, weight_role role) = 0;
};

// Whether a run may be the first of its session to ask for a state, which it then finds zeroed, or needs what
// an earlier run has written.
enum class state_origin { any_run, earlier_run };

// Where a graph takes the tensors from that stay with the module between runs.
class state_source {
  public:
    virtual ~state_source() = default;
    // Throws INVALID_OPTION without a session or without the earlier run, SHAPE_MISMATCH where the session
    // has it in another shape, OUT_OF_MEMORY.
    virtual tensor get(const std::string & session, const std::string & name, ggml_type type,
                       const shape & dims, state_origin origin) = 0;
};

// A change to a weight, computed beside the weight's own product: scale · up · down · x, or scale · up · x
// where there is no `down`.
struct weight_branch {
    tensor down;  // [r, columns, ...]
    tensor up;    // [rows, r], or the whole change [rows, columns, ...]
    float scale;
    int64_t row_begin, row_end;        // of the weight: the outputs that it adds to
    int64_t column_begin, column_end;  // the inputs that it reads
};

// A source of the changes that a run asks for.
class branch_source {
  public:
    virtual ~branch_source() = default;
    // In the order in which they were given; empty for a weight that stays as it is.
    virtual const std::vector<weight_branch> & of(const std::string & name) const = 0;
    // A rewritten copy of a weight, with the same shape; null for a weight that stays as it is.
    virtual tensor replacement(const std::string & name) const = 0;
};

// The input that holds what a run gives in the place of a node.
inline const std::string override_prefix = "override ";
inline std::string override_input(const std::string & node) {
    return override_prefix + node;
}

// The inputs of a run as the host reads them, by name.
class host_data {
  public:
    virtual ~host_data() = default;
    // The input's f32 or i32 values, valid as long as this object. One that lies on a device is copied from
    // there when it is first asked for.
    virtual const void * at(const std::string & name) const = 0;
};

// What the nodes of a graph can see of the run that they are part of.
struct run_state {
    const cancel_token * cancel = nullptr;
    std::atomic<bool> out_of_memory{false};

    bool cancelled() const { return cancel && cancel->cancelled(); }
};

// A graph while it is built: context, inputs, outputs, the table of names that can be tapped (our own: ggml
// cuts names at 63 bytes). Models see it through model_ref.
class graph {
  public:
    struct options {
        bool cpu = true;                  // the CPU backend: nn/ may emit custom ops
        bool stock_ops = false;           // stock ggml ops only, as on other backends
        std::set<std::string> taps;       // names to keep readable; with any tap the graph is built unfused
        std::set<std::string> overrides;  // names whose values the run gives (override_input); unfused too
        bool list_nodes = false;          // only listing: build as with taps
        state_source * states = nullptr;  // null where nothing runs
        std::string session;              // whose states the graph works on
        std::shared_ptr<const branch_source> branches;  // null where weights are as they were loaded
    };

    graph(weight_source & weights, options opts);
    ~graph();
    graph(const graph &) = delete;
    graph & operator=(const graph &) = delete;

    ggml_context * ctx() const { return ctx_; }
    const options & opts() const { return opts_; }
    bool unfused() const { return opts_.list_nodes || !opts_.taps.empty() || !opts_.overrides.empty(); }
    weight_source & weights() const { return weights_; }

    // Data that the caller gives with the run; ggml tensor with the reverse of `dims`, F32 or I32.
    tensor input(const std::string & name, ggml_type type, const shape & dims);
    // The values that an I32 input may hold (token ids, positions): checked before each run, as ggml aborts
    // on a bad index.
    void limit(const std::string & name, int64_t smallest, int64_t largest);
    // Data computed on the host when the graph runs, from the inputs that the caller gave (a timestep's
    // sinusoid). `fill` writes ggml_nelements() values of the tensor's type.
    using host_data = safelight::host_data;
    tensor computed(ggml_type type, const shape & dims, std::function<void(const host_data &, void *)> fill);
    // f32, or i32 where x holds integers.
    void output(const std::string & name, tensor x, const shape & dims);

    // Makes x readable under this name; `dims` is its shape as the user sees it (contiguous, PyTorch's
    // order), by default the reverse of ne without leading ones. Returns x (made contiguous if it has to be),
    // or what the run gives in its place.
    tensor name(const std::string & name, tensor x, shape dims = {});
    bool tapped(const std::string & name) const { return opts_.taps.count(name) > 0; }
    bool overridden(const std::string & name) const { return opts_.overrides.count(name) > 0; }
    // A parameter with exactly the reverse of `dims` as ne (the source compares shapes up to ones).
    tensor weight(const std::string & name, const shape & dims, weight_role role);
    // The changes to a parameter; empty without patches.
    const std::vector<weight_branch> & branches(const std::string & name) const;
    // A tensor that outlives the run: one for each session, with the reverse of `dims` as ne. Write to it
    // with ggml_set_rows or ggml_cpy and read from what those return, so that the read comes after; a write
    // that nothing in the graph reads is kept by effect(). A run that fails once computing has begun releases
    // its session, so no run finds half of a write.
    tensor state(const std::string & name, ggml_type type, const shape & dims,
                 state_origin origin = state_origin::any_run);
    // x is computed although no output depends on it.
    void effect(tensor x) { effects.push_back(x); }
    // Throws UNSUPPORTED_MODEL when the context cannot take this many more tensors: ggml itself would abort.
    // Asked with every weight and name; a builder asks itself before a loop that emits thousands of nodes
    // between two names.
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
    std::vector<tensor> effects;
    std::vector<std::shared_ptr<void>> keep;  // owns userdata of custom ops as long as the graph lives
    std::shared_ptr<void> nn_state;           // what nn/ remembers of the graph while it is built
    run_state run;

  private:
    tensor given_in_place_of(const std::string & name, const ggml_tensor * x, const shape & dims);

    weight_source & weights_;
    options opts_;
    ggml_context * ctx_;
};

// A place in the tree of parameters: m["down_blocks"][0]["resnets"][1]. Names of weights and of taps hang
// below it.
class model_ref {
  public:
    explicit model_ref(graph & g, std::string prefix = "") : graph_(&g), prefix_(std::move(prefix)) {}

    model_ref operator[](std::string_view part) const { return model_ref(*graph_, path(part)); }
    model_ref operator[](const char * part) const { return model_ref(*graph_, path(part)); }
    model_ref operator[](int64_t index) const { return model_ref(*graph_, path(std::to_string(index))); }
    model_ref operator[](int index) const {
        return (*this)[int64_t(index)];
    }  // or a literal 0 is a null pointer too

    graph & g() const { return *graph_; }
    ggml_context * ctx() const { return graph_->ctx(); }
    const std::string & prefix() const { return prefix_; }
    std::string path(std::string_view part) const {
        return prefix_.empty() ? std::string(part) : prefix_ + "." + std::string(part);
    }

    tensor weight(std::string_view part, const shape & dims, weight_role role) const {
        return graph_->weight(path(part), dims, role);
    }
    const std::vector<weight_branch> & branches(std::string_view part) const {
        return graph_->branches(path(part));
    }
    // Names the output of this place: "down_blocks.0.resnets.1".
    tensor named(tensor x, shape dims = {}) const { return graph_->name(prefix_, x, std::move(dims)); }
    tensor named(std::string_view part, tensor x, shape dims = {}) const {
        return graph_->name(path(part), x, std::move(dims));
    }

  private:
    graph * graph_;
    std::string prefix_;
};

// A kind of module: checks its config and builds graphs of its entry points. Implementations live in models/.
class architecture {
  public:
    virtual ~architecture() = default;
    virtual std::vector<std::string> entries() const = 0;
    // Builds the entry's graph for inputs of these shapes into g. Checks shapes first: SHAPE_MISMATCH or
    // INVALID_OPTION says what was expected. Must not depend on weights' data.
    virtual void build(graph & g, const std::string & entry, const std::map<std::string, shape> & inputs,
                       const config & params) const = 0;
    // Builds every entry once at a minimal size, with a recorder as weight source, to list parameters or to
    // check them.
    virtual void build_all(graph & g) const = 0;
};

// Throws UNSUPPORTED_MODEL for an unknown kind. Defined in models/registry.cpp.
std::unique_ptr<architecture> make_architecture(const std::string & kind, const config & cfg);

}  // namespace safelight
