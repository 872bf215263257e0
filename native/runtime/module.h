#pragma once

#include <atomic>
#include <memory>

#include "runtime/executor.h"
#include "runtime/graph/built_graph.h"
#include "runtime/patches/patch_set.h"
#include "runtime/session_states.h"
#include "runtime/weights/prepared_weights.h"
#include "runtime/weights/weights.h"

namespace safelight {

struct module_options {
    std::string backend;
    std::string device;         // ggml's device name; empty selects the backend's first device
    bool host_weights = false;  // keep weights in host memory and copy them to the GPU during a run
    int threads = 0;            // 0 uses the number of physical cores
    bool stock_ops = false;     // on the CPU, use only ggml's own operations instead of our kernels
    product_precision precision = product_precision::f32;  // of the CPU's products, where models allow it
    bool packs_weights = false;                 // keep weights in the layout of the products of `precision`
    std::string packed_file;                    // file of weights in that layout, which are not computed then
    std::vector<stored_weight> packed_weights;  // the weights in the file
    bool discards_weights = false;  // discard weights that a run reads in that layout only, and read them
                                    // from their files again for other runs
    bool map_weights = false;  // use weights from memory-mapped files where their bytes need no conversion
    bool release_buffers = false;  // free all memory except the weights after each run
};

struct run_request {
    std::string entry;
    run_inputs inputs;
    config params;
    std::set<std::string> taps;
    std::set<std::string> keep;  // outputs that stay on the device
    bool timings = false;        // measure each named node
    std::string session;         // session whose states the run reads and writes; empty for none
    std::string patches;         // name of the patch set to apply; empty for none
};

struct run_result {
    host_tensors outputs, taps;
    device_tensors kept;
    double build_ms = 0, compute_ms = 0;
    bool timed = false;
    std::map<std::string, double> nodes;  // milliseconds, if timed
};

struct node_info {
    std::string name;
    shape dims;
};

// A native module: an architecture with its weights on a backend. Members marked "module's thread" must be
// called on that thread; the others may be called concurrently from any thread.
class loaded_module {
  public:
    loaded_module(std::unique_ptr<architecture> model, const weight_plan & plan,
                  const module_options & options, const cancel_token & cancel,
                  std::function<void(uint64_t done, uint64_t total)> progress);

    // Module's thread.
    run_result run(run_request & request, const cancel_token & cancel);
    // Frees the graph's buffers and the threads if `release_buffers` is set. Call it after a run, once its
    // result has been handed over. Module's thread.
    void end_run();
    // Lists the named nodes of an entry's graph for inputs of these shapes.
    std::vector<node_info> nodes(const std::string & entry, const std::map<std::string, shape> & inputs,
                                 const config & params) const;
    // Returns the bytes of device buffers that a run with inputs of these shapes would need. Module's thread.
    uint64_t needed(const std::string & entry, const std::map<std::string, shape> & inputs,
                    const config & params, const std::string & patches);
    // Frees the states of a session. Module's thread.
    void release(const std::string & session);
    // Registers a patch set under a name, replacing an existing one; a plan without patches removes it.
    // Module's thread.
    void set_patches(const std::string & id, const patch_plan & plan, const cancel_token & cancel);
    // Writes the weights in the layout of the products of `precision` to an existing file, from `offset` on.
    // Module's thread.
    std::vector<stored_weight> write_packed(const std::string & file, uint64_t offset,
                                            const cancel_token & cancel);
    uint64_t weight_bytes() const { return weights_->bytes() + prepared_->bytes(); }
    uint64_t compute_bytes() const { return compute_bytes_; }  // of the largest run so far
    uint64_t state_bytes() const { return states_->bytes(); }  // of all sessions
    uint64_t patch_bytes() const { return patch_bytes_; }      // of all patch sets
    uint64_t kept_bytes() const { return *kept_bytes_; }       // of kept outputs that are still referenced
    const std::string & backend() const { return options_.backend; }

  private:
    built_graph & graph_for(const run_request & request, const cancel_token & cancel);
    graph::options graph_options(const run_request & request) const;
    std::shared_ptr<const patch_set> find_patches(const run_request & request) const;
    void check_inputs(const run_request & request) const;
    ggml_backend_dev_t device() const;
    ggml_backend_dev_t weight_device() const;
    void ensure_executor();
    void prepare_weights(const graph_parameters & read, const cancel_token & cancel);
    void compute(built_graph & graph, bool timed, const cancel_token & cancel, run_result & result);
    void forget_graph();
    void check_entry_name(const std::string & entry) const;

    module_options options_;
    std::unique_ptr<architecture> model_;
    std::unique_ptr<weights> weights_;
    std::unique_ptr<prepared_weights> prepared_;  // after weights_, whose data it reads
    std::unique_ptr<session_states> states_;
    std::unique_ptr<executor> executor_;
    std::unique_ptr<built_graph> last_;  // reused: a sampler runs the same graph at every step
    std::string last_key_, last_session_, last_patches_;
    std::vector<weight_requirement> required_;
    std::map<std::string, std::shared_ptr<const patch_set>> patch_sets_;
    std::atomic<uint64_t> patch_bytes_{0};
    byte_counter kept_bytes_ = std::make_shared<std::atomic<uint64_t>>(0);
    std::atomic<uint64_t> compute_bytes_{0};
};

}  // namespace safelight
