#pragma once

#include "runtime/cpu_executor.h"

namespace safelight {

// Executor for a GPU that falls back to the CPU for unsupported operations, using ggml's scheduler.
class device_executor : public executor {
  public:
    device_executor(ggml_backend_dev_t device, int threads);

    void allocate(ggml_cgraph * graph) override;
    void compute(ggml_cgraph * graph, const cancel_token & cancel) override;
    void compute_timed(ggml_cgraph * graph, const cancel_token & cancel, const named_nodes & names,
                       const report_node & report) override;
    uint64_t needed(ggml_cgraph * graph) override;
    uint64_t bytes() const override;

  private:
    void run(ggml_cgraph * graph, const cancel_token & cancel, ggml_backend_sched_eval_callback observe,
             void * data);

    ggml_backend_dev_t device_;
    std::unique_ptr<ggml_threadpool, ggml_deleter> pool_;
    std::unique_ptr<ggml_backend, ggml_deleter> gpu_, cpu_;
    std::unique_ptr<ggml_backend_sched, ggml_deleter> scheduler_;
};

}  // namespace safelight
