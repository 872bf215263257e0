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

// Gives a graph memory on one device and computes it. Holds the memory of one graph at a time. Not
// thread-safe: it belongs to its module's thread.
class executor {
  public:
    virtual ~executor() = default;

    // Throws OUT_OF_MEMORY; then, as after a new allocate(), the graph before is no longer usable.
    virtual void allocate(ggml_cgraph * graph) = 0;
    // Throws ABORTED or DISPOSED between nodes.
    virtual void compute(ggml_cgraph * graph, const cancel_token & cancel) = 0;
    // As compute(), but stops after every node of `names` and reports the time since the one before; the
    // nodes after the last have the name "".
    virtual void compute_timed(ggml_cgraph * graph, const cancel_token & cancel, const named_nodes & names,
                               const report_node & report) = 0;
    // Bytes on the device that allocate() would ask for; takes none.
    virtual uint64_t needed(ggml_cgraph * graph) = 0;
    // Bytes of the buffers held now.
    virtual uint64_t bytes() const = 0;
};

// For the CPU alone, or for another device with the CPU for the operations that it does not know.
std::unique_ptr<executor> make_executor(ggml_backend_dev_t device, int threads);

}  // namespace safelight
