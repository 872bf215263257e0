#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <string>

#include "ggml-backend.h"
#include "runtime/device/device_buffer.h"
#include "runtime/graph/graph.h"

namespace safelight {

// Tensors that persist between the runs of a session, such as a transformer's KV cache or the cross-attention
// keys and values of a prompt. Use it on the module's thread; bytes() may be called from any thread.
class session_states : public state_source {
  public:
    explicit session_states(ggml_backend_dev_t device) : device_(device) {}

    tensor get(const std::string & session, const std::string & name, ggml_type type, const shape & dims,
               state_origin origin) override;

    // Marks the session's states as complete after a successful run.
    void commit(const std::string & session);
    // Frees the states that no successful run has written; returns false if there are none.
    bool drop_new(const std::string & session);
    // Frees all states of the session.
    void release(const std::string & session);
    uint64_t bytes() const { return bytes_; }

  private:
    struct context_deleter {
        void operator()(ggml_context * ctx) const { ggml_free(ctx); }
    };
    struct state {
        shape dims;
        std::unique_ptr<ggml_context, context_deleter> ctx;
        tensor value = nullptr;
        device_buffer memory;
        bool committed = false;
    };
    using named_states = std::map<std::string, state>;

    state make(ggml_type type, const shape & dims) const;
    void count();

    ggml_backend_dev_t device_;
    std::map<std::string, named_states> sessions_;
    std::atomic<uint64_t> bytes_{0};
};

}  // namespace safelight
