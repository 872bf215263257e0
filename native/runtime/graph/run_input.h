#pragma once

#include <map>
#include <string>
#include <vector>

#include "runtime/device_tensor.h"
#include "runtime/host_tensor.h"

namespace safelight {

// An input of a run: a tensor in host memory, or one or more device tensors of earlier runs, concatenated
// along the batch.
struct run_input {
    run_input() = default;
    explicit run_input(host_tensor from);
    // Throws INVALID_OPTION or SHAPE_MISMATCH if the parts cannot be concatenated; `name` is used in the
    // message.
    run_input(std::vector<device_tensor> from, const std::string & name);

    // Copies the values into the graph's tensor.
    void copy_to(tensor to) const;

    ggml_type type = GGML_TYPE_F32;
    shape dims;
    host_tensor host;                  // used if `parts` is empty
    std::vector<device_tensor> parts;  // concatenated along the batch
};

using run_inputs = std::map<std::string, run_input>;

std::map<std::string, shape> shapes_of(const run_inputs & inputs);

// The inputs of a run in host memory. Device tensors are copied when they are first read.
class host_inputs : public host_data {
  public:
    explicit host_inputs(const run_inputs & inputs) : inputs_(inputs) {}
    const void * at(const std::string & name) const override;

  private:
    const run_inputs & inputs_;
    mutable std::map<std::string, std::unique_ptr<std::byte[]>> copies_;
};

}  // namespace safelight
