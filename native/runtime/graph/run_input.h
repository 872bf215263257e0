#pragma once

#include <map>
#include <string>
#include <vector>

#include "runtime/host_tensor.h"
#include "runtime/kept_tensor.h"

namespace safelight {

// An input of a run: a tensor in the host's memory, or tensors that earlier runs kept on the device, joined
// along the batch.
struct run_input {
    run_input() = default;
    explicit run_input(host_tensor from);
    // Throws INVALID_OPTION or SHAPE_MISMATCH where the parts cannot be joined; `name` is for the message.
    run_input(std::vector<kept_tensor> parts, const std::string & name);

    // Copies the values to where the graph reads them.
    void copy_to(tensor to) const;

    ggml_type type = GGML_TYPE_F32;
    shape dims;
    host_tensor host;               // its data, unless parts are given
    std::vector<kept_tensor> kept;  // the parts
};

using run_inputs = std::map<std::string, run_input>;

std::map<std::string, shape> shapes_of(const run_inputs & inputs);

// The inputs for nodes that are computed on the host.
class inputs_on_host : public host_data {
  public:
    explicit inputs_on_host(const run_inputs & inputs) : inputs_(inputs) {}
    const void * at(const std::string & name) const override;

  private:
    const run_inputs & inputs_;
    mutable std::map<std::string, std::unique_ptr<std::byte[]>> copies_;
};

}  // namespace safelight
