#pragma once

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>

#include "ggml-backend.h"
#include "runtime/cancel.h"

namespace safelight {

using named_nodes = std::unordered_map<const ggml_tensor *, std::string>;
using report_node = std::function<void(const std::string & name, double milliseconds)>;

// Allocates a graph on one device and computes it. Owns the memory of one graph at a time. Not thread-safe:
// call it on the module's thread only.
class executor {
  public:
    virtual ~executor() = default;

    // Allocates the graph and frees the previous one, also when it throws OUT_OF_MEMORY.
    virtual void allocate(ggml_cgraph * graph) = 0;
    // Throws ABORTED or DISPOSED between nodes.
    virtual void compute(ggml_cgraph * graph, const cancel_token & cancel) = 0;
    // Like compute(), but stops after every node in `names` and reports the milliseconds since the previous
    // stop. Nodes after the last named one are reported under the name "".
    virtual void compute_timed(ggml_cgraph * graph, const cancel_token & cancel, const named_nodes & names,
                               const report_node & report) = 0;
    // Returns the bytes that allocate() would request on the device, without allocating.
    virtual uint64_t needed(ggml_cgraph * graph) = 0;
    // Returns the bytes of the buffers that are currently allocated.
    virtual uint64_t bytes() const = 0;
};

// Creates an executor for the CPU, or for a GPU that falls back to the CPU for operations it does not
// support.
std::unique_ptr<executor> make_executor(ggml_backend_dev_t device, int threads);

}  // namespace safelight
