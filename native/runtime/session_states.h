#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <string>

#include "ggml-backend.h"
#include "runtime/device/device_buffer.h"
#include "runtime/graph/graph.h"

namespace safelight {

// Tensors that live with a module between its runs, by session: a KV cache, a prompt's keys and values.
// Belongs to the module's thread; bytes() may be asked from any.
class session_states : public state_source {
  public:
    explicit session_states(ggml_backend_dev_t device) : device_(device) {}

    tensor get(const std::string & session, const std::string & name, ggml_type type, const shape & dims,
               state_origin origin) override;

    // What the session's states hold is whole: a run that wrote them has succeeded.
    void commit(const std::string & session);
    // Frees those that no successful run has written yet; false where there are none.
    bool drop_new(const std::string & session);
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
