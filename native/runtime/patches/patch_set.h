#pragma once

#include <memory>
#include <unordered_map>

#include "runtime/patches/joined_changes.h"
#include "runtime/patches/merged_weights.h"
#include "runtime/patches/weight_patch.h"
#include "runtime/weights/weights.h"

namespace safelight {

// The patches of one set on the module's device: low-rank factors that a run multiplies next to the weight,
// and rewritten copies of weights. Immutable, so that a graph may hold it while the module forgets it.
class patch_set : public weight_change_source {
  public:
    // Throws ADAPTER_MISMATCH for a target that the module does not have, or has in another shape, and what
    // loading weights throws.
    patch_set(const patch_plan & plan, const std::vector<weight_requirement> & module, weights & base,
              const weights::options & options);

    const std::vector<weight_change> & of(const std::string & name) const override;
    tensor replacement(const std::string & name) const override;
    uint64_t bytes() const;

  private:
    void release_joined_factors();

    std::unique_ptr<weights> factors_;  // of the changes that runs compute
    std::unordered_map<std::string, std::vector<weight_change>> changes_;
    std::unique_ptr<joined_changes> joined_;
    std::unique_ptr<merged_weights> merged_;
};

}  // namespace safelight
