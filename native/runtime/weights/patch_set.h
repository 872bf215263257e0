#pragma once

#include <memory>
#include <optional>
#include <unordered_map>

#include "runtime/weights/weight_plan.h"
#include "runtime/weights/weights.h"

namespace safelight {

// A change to one parameter: the product of two low-rank factors (LoRA; Hu et al. 2021, arXiv:2106.09685), or
// a full difference of the target's shape. Corresponds to PlannedPatch in lib/binding/types.ts.
struct weight_patch {
    struct range {
        int64_t begin, end;
    };
    std::string target;
    float scale = 1;
    std::optional<range> rows, columns;  // changed part of the target; default all
    std::string down, up;                // names of plan entries of shapes [r, columns ...] and [rows, r]
    std::string full;                    // or the name of the difference, of shape [rows, columns ...]
};

struct patch_plan {
    weight_plan weights;
    std::vector<weight_patch> patches;
};

// The weight changes of a patch set, with their factors on the module's device. Immutable, so that a graph
// can share it after the module has removed it.
class patch_set : public weight_change_source {
  public:
    // Throws ADAPTER_MISMATCH if the module does not have a target or has it in another shape, and the errors
    // of loading weights.
    patch_set(const patch_plan & plan, const std::vector<weight_requirement> & module,
              const weights::options & options);

    const std::vector<weight_change> & of(const std::string & name) const override;
    uint64_t bytes() const { return factors_->bytes(); }

  private:
    std::unique_ptr<weights> factors_;
    std::unordered_map<std::string, std::vector<weight_change>> changes_;
};

}  // namespace safelight
