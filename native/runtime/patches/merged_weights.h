#pragma once

#include <functional>
#include <memory>
#include <unordered_map>

#include "runtime/patches/patch_factors.h"
#include "runtime/weights/weight_buffer.h"

namespace safelight {

// Copies of the parameters that a patch set rewrites, in one buffer of the module's device.
class merged_weights {
  public:
    // `factors` are the loaded factors of the plan. Throws ADAPTER_MISMATCH, OUT_OF_MEMORY, ABORTED.
    merged_weights(const patch_plan & plan, const std::vector<weight_requirement> & module, weights & base,
                   weights & factors, const weights::options & how);

    tensor get(const std::string & name) const;  // null for a parameter that stays as it is
    uint64_t bytes() const { return buffer_ ? buffer_->bytes() : 0; }

  private:
    std::unique_ptr<weight_buffer> buffer_;
    std::unordered_map<std::string, tensor> copies_;
};

}  // namespace safelight
