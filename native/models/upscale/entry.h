#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "models/checks.h"
#include "runtime/graph/graph.h"

namespace safelight {

struct upscaler_shape {
    int64_t in_channels;
    int64_t multiple;  // sides of an input are multiples of it
    int64_t widest;    // largest number of elements of an activation per pixel of the input
};

// An upscaling network, which has the single entry `upscale`: image [B, C, H, W] -> image [B, C', H', W'].
// Values are nominally 0 to 1.
class upscaler : public architecture {
  public:
    // `forward` builds the network for an image of a valid shape.
    upscaler(const upscaler_shape & s, std::function<tensor(model_ref, tensor)> forward)
        : shape_(s), forward_(std::move(forward)) {}

    std::vector<std::string> entries() const override { return {"upscale"}; }
    void build(graph & g, const std::string & entry, const input_shapes & inputs,
               const config &) const override;
    void build_all(graph & g) const override;

  private:
    upscaler_shape shape_;
    std::function<tensor(model_ref, tensor)> forward_;
};

}  // namespace safelight
