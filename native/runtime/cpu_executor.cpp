#include "runtime/cpu_executor.h"

#include <chrono>

#include "runtime/memory.h"

namespace safelight {

namespace {

bool cancelled(void * token) {
    return static_cast<const cancel_token *>(token)->cancelled();
}

}  // namespace

std::unique_ptr<ggml_threadpool, ggml_deleter> make_threadpool(int threads) {
    ggml_threadpool_params params = ggml_threadpool_params_default(threads);
    params.poll = 0;  // threads that spin after a graph would occupy cores that another module needs
    std::unique_ptr<ggml_threadpool, ggml_deleter> pool(ggml_threadpool_new(&params));
    if (!pool) {
        throw error("OUT_OF_MEMORY", "The system cannot create more threads");
    }
    return pool;
}

cpu_executor::cpu_executor(int threads) : threads_(threads) {
    ggml_cpu_init();
    pool_ = make_threadpool(threads);
}

void cpu_executor::allocate(ggml_cgraph * graph) {
    // Use a new allocator: ggml's keeps the largest buffer it ever allocated. A graph is allocated only when
    // a run differs from the previous one, so this is rare.
    memory_.reset();
    work_.reset();
    work_size_ = 0;
    std::unique_ptr<ggml_gallocr, ggml_deleter> allocator(ggml_gallocr_new(ggml_backend_cpu_buffer_type()));
    uint64_t size = needed(graph);
    require_memory(size, available_memory(), "The run");
    if (!ggml_gallocr_reserve(allocator.get(), graph) || !ggml_gallocr_alloc_graph(allocator.get(), graph)) {
        out_of_memory(size, "The run");
    }
    for (int i = 0; i < ggml_graph_n_nodes(graph); i++) {
        // The allocator has one buffer, which every node that is not a state or a view of a weight is in.
        ggml_backend_buffer_t buffer = ggml_graph_node(graph, i)->buffer;
        if (buffer == nullptr || ggml_backend_buffer_get_usage(buffer) != GGML_BACKEND_BUFFER_USAGE_COMPUTE)
            continue;
        prefer_huge_pages(ggml_backend_buffer_get_base(buffer), ggml_backend_buffer_get_size(buffer));
        break;
    }
    memory_ = std::move(allocator);
}

uint64_t cpu_executor::needed(ggml_cgraph * graph) {
    std::unique_ptr<ggml_gallocr, ggml_deleter> probe(ggml_gallocr_new(ggml_backend_cpu_buffer_type()));
    size_t size = 0;
    ggml_gallocr_reserve_n_size(probe.get(), graph, nullptr, nullptr, &size);
    return size + ggml_graph_plan(graph, threads_, pool_.get()).work_size;
}

ggml_cplan cpu_executor::plan(ggml_cgraph * graph) {
    ggml_cplan plan = ggml_graph_plan(graph, threads_, pool_.get());
    if (plan.work_size > work_size_) {
        work_.reset();
        work_size_ = 0;
        work_.reset(new uint8_t[plan.work_size]);
        work_size_ = plan.work_size;
    }
    plan.work_data = work_.get();
    plan.abort_callback = cancelled;
    return plan;
}

void cpu_executor::compute(ggml_cgraph * graph, const cancel_token & cancel) {
    ggml_cplan how = plan(graph);
    how.abort_callback_data = const_cast<cancel_token *>(&cancel);
    ggml_status status = ggml_graph_compute(graph, &how);
    cancel.throw_if_cancelled();
    if (status != GGML_STATUS_SUCCESS) {
        throw error("INTERNAL", std::string("The graph failed: ") + ggml_status_to_string(status));
    }
}

void cpu_executor::compute_timed(ggml_cgraph * graph, const cancel_token & cancel, const named_nodes & names,
                                 const report_node & report) {
    int count = ggml_graph_n_nodes(graph);
    auto capacity = static_cast<size_t>(count);
    std::unique_ptr<ggml_context, ggml_deleter> ctx(
        ggml_init({ggml_graph_overhead_custom(capacity, false) + 1024, nullptr, /*no_alloc*/ true}));
    ggml_cgraph * segment = ggml_new_graph_custom(ctx.get(), capacity, false);
    std::string none;
    for (int i = 0; i < count; i++) {
        ggml_tensor * node = ggml_graph_node(graph, i);
        ggml_graph_add_node(segment, node);
        auto named = names.find(node);
        if (named == names.end() && i + 1 < count) {
            continue;
        }
        auto start = std::chrono::steady_clock::now();
        compute(segment, cancel);
        std::chrono::duration<double, std::milli> elapsed = std::chrono::steady_clock::now() - start;
        report(named == names.end() ? none : named->second, elapsed.count());
        ggml_graph_clear(segment);
    }
}

uint64_t cpu_executor::bytes() const {
    return memory_ ? ggml_gallocr_get_buffer_size(memory_.get(), 0) + work_size_ : 0;
}

}  // namespace safelight
