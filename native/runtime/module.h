#pragma once

#include <atomic>
#include <memory>

#include "runtime/executor.h"
#include "runtime/graph/built_graph.h"
#include "runtime/patches/patch_set.h"
#include "runtime/session_states.h"
#include "runtime/weights/weights.h"

namespace safelight {

struct module_options {
    std::string backend;
    std::string device;         // ggml's name; empty: the backend's first
    bool host_weights = false;  // keep weights in the host's memory and copy them over as a GPU needs them
    int threads = 0;            // 0: physical cores
    bool stock_ops = false;
    bool map_weights = false;      // leave weights in their files where they can be used from there
    bool release_buffers = false;  // hold no memory between runs but the weights
};

struct run_request {
    std::string entry;
    run_inputs inputs;
    config params;
    std::set<std::string> taps;
    std::set<std::string> keep;  // outputs that stay on the device
    bool timings = false;
    std::string session;  // whose states the run works on; empty for none
    std::string patches;  // the patch set that it runs with; empty for none
};

struct run_result {
    host_tensors outputs, taps;
    kept_tensors kept;
    double build_ms = 0, compute_ms = 0;
    bool timed = false;
    std::map<std::string, double> nodes;  // milliseconds, if timed
};

struct node_info {
    std::string name;
    shape dims;
};

// A kind, a config and weights on a backend. run() belongs to the module's own thread; the others may be
// called beside it.
class loaded_module {
  public:
    loaded_module(std::unique_ptr<architecture> model, const weight_plan & plan, const module_options & how,
                  const cancel_token & cancel, std::function<void(uint64_t done, uint64_t total)> progress);

    run_result run(run_request & request, const cancel_token & cancel);
    // After a run, once its result is on its way: gives back what was asked not to be kept.
    void end_run();
    std::vector<node_info> nodes(const std::string & entry, const std::map<std::string, shape> & inputs,
                                 const config & params) const;
    // Bytes of the buffers on the device that a run of f32 inputs of these shapes would need. On the module's
    // thread, like run().
    uint64_t needed(const std::string & entry, const std::map<std::string, shape> & inputs,
                    const config & params, const std::string & patches);
    // Frees what the session's runs have kept. On the module's thread, like run().
    void release(const std::string & session);
    // Registers a patch set under a name, in the place of one that has it; without patches the name is
    // forgotten. On the module's thread, like run().
    void set_patches(const std::string & id, const patch_plan & plan, const cancel_token & cancel);
    uint64_t weight_bytes() const { return weights_->bytes(); }
    uint64_t compute_bytes() const { return compute_bytes_; }  // of the largest run so far
    uint64_t state_bytes() const { return states_->bytes(); }  // of all sessions
    uint64_t patch_bytes() const { return patch_bytes_; }      // of all patch sets
    uint64_t kept_bytes() const { return *kept_bytes_; }       // of outputs that are still kept
    const std::string & backend() const { return how_.backend; }

  private:
    built_graph & graph_for(const run_request & request);
    graph::options graph_options(const run_request & request) const;
    std::shared_ptr<const patch_set> patches_of(const run_request & request) const;
    void check_inputs(const run_request & request) const;
    ggml_backend_dev_t device() const;
    ggml_backend_dev_t weight_device() const;
    void ready_executor();
    void compute(built_graph & graph, bool timed, const cancel_token & cancel, run_result & result);
    void forget_graph();
    void check_entry_name(const std::string & entry) const;

    module_options how_;
    std::unique_ptr<architecture> model_;
    std::unique_ptr<weights> weights_;
    std::unique_ptr<session_states> states_;
    std::unique_ptr<executor> executor_;
    std::unique_ptr<built_graph> last_;  // a sampler runs the same graph at every step
    std::string last_key_, last_session_, last_patches_;
    std::vector<weight_requirement> required_;
    std::map<std::string, std::shared_ptr<const patch_set>> patch_sets_;
    std::atomic<uint64_t> patch_bytes_{0};
    byte_counter kept_bytes_ = std::make_shared<std::atomic<uint64_t>>(0);
    std::atomic<uint64_t> compute_bytes_{0};
};

}  // namespace safelight
