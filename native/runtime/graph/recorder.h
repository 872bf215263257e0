#pragma once

#include <map>

#include "runtime/graph/graph.h"

namespace safelight {

// A weight source without data that records the parameters a graph requests. It lets requirements() list a
// model's parameters without a second description of the model.
class recorder : public weight_source {
  public:
    recorder();
    ~recorder() override;
    recorder(const recorder &) = delete;
    recorder & operator=(const recorder &) = delete;

    tensor get(const std::string & name, const shape & dims, weight_role role) override;
    const std::vector<weight_requirement> & required() const { return required_; }

  private:
    ggml_context * ctx_;
    std::map<std::string, tensor> known_;
    std::vector<weight_requirement> required_;
};

// Returns the parameters of a module of this kind and config, in the order in which the graph requests them.
std::vector<weight_requirement> requirements(const architecture & model);

}  // namespace safelight
