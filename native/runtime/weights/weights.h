#pragma once

#include <functional>
#include <memory>
#include <unordered_map>

#include "ggml-backend.h"
#include "runtime/cancel.h"
#include "runtime/graph/graph.h"
#include "runtime/weights/mapped_file.h"
#include "runtime/weights/weight_buffer.h"
#include "runtime/weights/weight_plan.h"

namespace safelight {

// The parameters of a module, converted and in one buffer of its backend, or in their files.
class weights : public weight_source {
  public:
    struct options {
        ggml_backend_dev_t device;
        int threads;
        bool map;  // use the file's bytes where they are those of the storage and the device is the CPU
        const cancel_token & cancel;
        std::function<void(uint64_t done, uint64_t total)>
            progress;  // bytes of the files; from any thread, one at a time
    };

    // Reads what is required and nothing else; files are unmapped when it returns, unless parameters stay in
    // them.
    weights(const weight_plan & plan, const std::vector<weight_requirement> & required, const options & how);

    tensor get(const std::string & name, const shape & dims, weight_role role) override;
    uint64_t bytes() const;  // of the buffer; what stays in files is the system's to keep or drop

  private:
    weight_buffer buffer_;
    std::vector<std::unique_ptr<mapped_file>> files_;  // that parameters stay in
    std::vector<std::unique_ptr<ggml_backend_buffer, void (*)(ggml_backend_buffer *)>> windows_;  // on them
    struct parameter {
        tensor value;
        shape dims;
    };
    std::unordered_map<std::string, parameter> parameters_;
};

}  // namespace safelight
