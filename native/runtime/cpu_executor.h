#pragma once

#include <memory>

#include "ggml-alloc.h"
#include "ggml-cpu.h"
#include "runtime/executor.h"

namespace safelight {

struct ggml_deleter {
    void operator()(ggml_gallocr * allocator) const { ggml_gallocr_free(allocator); }
    void operator()(ggml_threadpool * pool) const { ggml_threadpool_free(pool); }
    void operator()(ggml_context * ctx) const { ggml_free(ctx); }
    void operator()(ggml_backend * backend) const { ggml_backend_free(backend); }
    void operator()(ggml_backend_sched * scheduler) const { ggml_backend_sched_free(scheduler); }
};

// Creates a thread pool whose threads sleep between graphs. Throws OUT_OF_MEMORY.
std::unique_ptr<ggml_threadpool, ggml_deleter> make_threadpool(int threads);

class cpu_executor : public executor {
  public:
    explicit cpu_executor(int threads);

    void allocate(ggml_cgraph * graph) override;
    void compute(ggml_cgraph * graph, const cancel_token & cancel) override;
    void compute_timed(ggml_cgraph * graph, const cancel_token & cancel, const named_nodes & names,
                       const report_node & report) override;
    uint64_t needed(ggml_cgraph * graph) override;
    uint64_t bytes() const override;

  private:
    ggml_cplan plan(ggml_cgraph * graph);

    int threads_;
    std::unique_ptr<ggml_threadpool, ggml_deleter> pool_;
    std::unique_ptr<ggml_gallocr, ggml_deleter> memory_;
    std::unique_ptr<uint8_t[]> work_;  // scratch memory of ggml's operations
    size_t work_size_ = 0;
};

}  // namespace safelight
