#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <unordered_map>

#include "ggml-backend.h"
#include "runtime/cancel.h"
#include "runtime/graph/graph.h"
#include "runtime/platform/mapped_file.h"
#include "runtime/weights/weight_buffer.h"
#include "runtime/weights/weight_plan.h"

namespace safelight {

// The parameters of a module: converted into one buffer of its backend, or used from memory-mapped files.
class weights : public weight_source {
  public:
    struct options {
        ggml_backend_dev_t device;
        int threads;
        bool map;  // on the CPU, use the file's bytes if they need no conversion
        const cancel_token & cancel;
        std::function<void(uint64_t done, uint64_t total)>
            progress;              // in bytes of the files; called on any thread, one call at a time
        bool discardable = false;  // on the CPU, parameters may be discarded and read from the files again
    };

    // Reads only the required parameters. Unmaps the files before it returns, unless parameters are used from
    // them.
    weights(const weight_plan & plan, const std::vector<weight_requirement> & required, const options & opts);

    tensor get(const std::string & name, const shape & dims, weight_role role) override;
    uint64_t bytes() const;  // of the buffer, without memory-mapped parameters, which the system can page out

    // Frees the memory of the parameter with this data until it is restored. Has no effect on one that is
    // memory-mapped, unless `discardable` is set, and on one that was restored twice: it will be needed
    // again.
    void discard(const void * data);
    // The data of the parameters with these names.
    std::set<const void *> data_of(const std::set<std::string> & names) const;
    // Reads discarded parameters again. Throws FILE_NOT_FOUND, or INVALID_FILE if a file has changed.
    void restore(const std::set<const void *> & data, int threads, const cancel_token & cancel);

  private:
    weight_buffer buffer_;
    std::vector<std::unique_ptr<mapped_file>> files_;  // mapped files that parameters are used from
    std::vector<std::unique_ptr<ggml_backend_buffer, void (*)(ggml_backend_buffer *)>>
        file_buffers_;  // buffers over files_
    struct parameter {
        tensor value;
        shape dims;
    };
    std::unordered_map<std::string, parameter> parameters_;
    struct discardable {
        const weight_entry * entry;
        tensor value;
        bool discarded = false;
        int restored = 0;  // how often
    };
    weight_plan plan_;                                            // if parameters can be discarded
    std::map<const void *, discardable> discardable_;             // by data
    std::map<size_t, std::pair<uint64_t, int64_t>> file_states_;  // sizes and times of the files of plan_
    std::atomic<uint64_t> discarded_bytes_{0};
};

}  // namespace safelight
