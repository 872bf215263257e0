#include "runtime/device/device_executor.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <vector>

#include "runtime/device/device.h"
#include "runtime/memory.h"

namespace safelight {

namespace {

// The scheduler synchronizes with the device before it polls for cancellation, which stalls the pipeline, so
// it does not poll at every node.
constexpr int nodes_between_polls = 32;

struct cancel_poll {
    const cancel_token & cancel;
    int nodes;  // nodes visited so far
};

bool poll_cancel(ggml_tensor *, bool ask, void * data) {
    auto * state = static_cast<cancel_poll *>(data);
    return ask ? ++state->nodes % nodes_between_polls == 0 : !state->cancel.cancelled();
}

struct timing {
    const cancel_token & cancel;
    const named_nodes & names;
    const report_node & report;
    std::chrono::steady_clock::time_point since;
};

bool time_node(ggml_tensor * node, bool ask, void * data) {
    auto * state = static_cast<timing *>(data);
    auto named = state->names.find(node);
    if (ask) {
        return named != state->names.end();
    }
    auto now = std::chrono::steady_clock::now();
    state->report(named->second, std::chrono::duration<double, std::milli>(now - state->since).count());
    state->since = now;
    return !state->cancel.cancelled();
}

// Saves and restores the sources of a graph's nodes. The scheduler redirects sources on another backend to
// copies that it owns and frees, so the original sources must be restored before the scheduler gets the same
// graph again (ggml-backend.h). Stored by node, not by index, because backends reorder the nodes of a graph.
class graph_sources {
  public:
    explicit graph_sources(ggml_cgraph * graph) {
        nodes_.reserve(static_cast<size_t>(ggml_graph_n_nodes(graph)));
        for (int i = 0; i < ggml_graph_n_nodes(graph); i++) {
            ggml_tensor * node = ggml_graph_node(graph, i);
            nodes_.push_back({node, {}});
            std::copy(std::begin(node->src), std::end(node->src), nodes_.back().sources.begin());
        }
    }
    void restore() const {
        for (const entry & saved : nodes_) {
            std::copy(saved.sources.begin(), saved.sources.end(), saved.node->src);
        }
    }

  private:
    struct entry {
        ggml_tensor * node;
        std::array<ggml_tensor *, GGML_MAX_SRC> sources;
    };
    std::vector<entry> nodes_;
};

bool cancelled(void * token) {
    return static_cast<const cancel_token *>(token)->cancelled();
}

}  // namespace

device_executor::device_executor(ggml_backend_dev_t device, int threads)
    : device_(device),
      pool_(make_threadpool(threads)),
      gpu_(ggml_backend_dev_init(device, nullptr)),
      cpu_(ggml_backend_cpu_init()) {
    if (!gpu_ || !cpu_) {
        throw error("BACKEND_UNAVAILABLE",
                    std::string("The device ") + ggml_backend_dev_name(device) +
                        " cannot be opened; check that its driver is installed and its memory is free");
    }
    ggml_backend_cpu_set_n_threads(cpu_.get(), threads);
    ggml_backend_cpu_set_threadpool(cpu_.get(), pool_.get());
}

uint64_t device_executor::needed(ggml_cgraph * graph) {
    ggml_backend_t backends[] = {gpu_.get(), cpu_.get()};
    size_t capacity = 2 * static_cast<size_t>(ggml_graph_size(graph));
    std::unique_ptr<ggml_backend_sched, ggml_deleter> probe(
        ggml_backend_sched_new(backends, nullptr, 2, capacity, /*parallel*/ false, /*op_offload*/ true));
    size_t sizes[2] = {0, 0};
    graph_sources sources(graph);
    ggml_backend_sched_reserve_size(probe.get(), graph, sizes);
    sources.restore();
    return sizes[0];
}

void device_executor::allocate(ggml_cgraph * graph) {
    scheduler_.reset();
    ggml_backend_t backends[] = {gpu_.get(), cpu_.get()};
    size_t capacity = 2 * static_cast<size_t>(ggml_graph_size(graph));
    std::unique_ptr<ggml_backend_sched, ggml_deleter> scheduler(
        ggml_backend_sched_new(backends, nullptr, 2, capacity, /*parallel*/ false, /*op_offload*/ true));
    size_t sizes[2] = {0, 0};
    graph_sources sources(graph);
    ggml_backend_sched_reserve_size(scheduler.get(), graph, sizes);
    sources.restore();
    require_memory(sizes[0], available_memory(device_), "The run");
    require_memory(sizes[1], available_memory(), "The run");
    ggml_backend_sched_reset(scheduler.get());
    if (!ggml_backend_sched_reserve(scheduler.get(), graph)) {
        out_of_memory(sizes[0] + sizes[1], "The run");
    }
    sources.restore();
    ggml_backend_sched_reset(scheduler.get());
    if (!ggml_backend_sched_alloc_graph(scheduler.get(), graph)) {
        out_of_memory(sizes[0] + sizes[1], "The run");
    }
    scheduler_ = std::move(scheduler);
}

void device_executor::run(ggml_cgraph * graph, const cancel_token & cancel,
                          ggml_backend_sched_eval_callback observe, void * data) {
    ggml_backend_cpu_set_abort_callback(cpu_.get(), cancelled, const_cast<cancel_token *>(&cancel));
    ggml_backend_sched_set_eval_callback(scheduler_.get(), observe, data);
    ggml_status status = ggml_backend_sched_graph_compute(scheduler_.get(), graph);
    ggml_backend_cpu_set_abort_callback(cpu_.get(), nullptr, nullptr);
    cancel.throw_if_cancelled();
    if (status == GGML_STATUS_ALLOC_FAILED) {
        throw error("OUT_OF_MEMORY", "The device has no memory for an operation's scratch space");
    }
    if (status != GGML_STATUS_SUCCESS) {
        throw error("INTERNAL", std::string("The graph failed: ") + ggml_status_to_string(status));
    }
}

void device_executor::compute(ggml_cgraph * graph, const cancel_token & cancel) {
    cancel_poll state = {cancel, 0};
    run(graph, cancel, poll_cancel, &state);
}

void device_executor::compute_timed(ggml_cgraph * graph, const cancel_token & cancel,
                                    const named_nodes & names, const report_node & report) {
    timing state = {cancel, names, report, std::chrono::steady_clock::now()};
    run(graph, cancel, time_node, &state);
}

uint64_t device_executor::bytes() const {
    return scheduler_ ? ggml_backend_sched_get_buffer_size(scheduler_.get(), gpu_.get()) +
                            ggml_backend_sched_get_buffer_size(scheduler_.get(), cpu_.get())
                      : 0;
}

std::unique_ptr<executor> make_executor(ggml_backend_dev_t device, int threads) {
    if (ggml_backend_dev_type(device) == GGML_BACKEND_DEVICE_TYPE_CPU) {
        return std::make_unique<cpu_executor>(threads);
    }
    return std::make_unique<device_executor>(device, threads);
}

}  // namespace safelight
