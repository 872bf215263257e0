#pragma once

#include <memory>
#include <optional>
#include <unordered_map>

#include "runtime/weights/weight_plan.h"
#include "runtime/weights/weights.h"

namespace safelight {

// One change to one parameter: the product of two factors that a plan describes (Hu et al. 2021,
// arXiv:2106.09685), or a difference as large as what it changes. PlannedPatch of lib/binding/types.ts.
struct weight_patch {
    struct range {
        int64_t begin, end;
    };
    std::string target;
    float scale = 1;
    std::optional<range> rows, columns;  // of the target; all of them where there is none
    std::string down, up;                // entries of the plan: [r, columns ...] and [rows, r]
    std::string full;                    // or the difference: [rows, columns ...]
};

struct patch_plan {
    weight_plan weights;
    std::vector<weight_patch> patches;
};

// The changes of a patch set with their factors on the module's device. Immutable, so that a graph may hold
// it while the module forgets it.
class patch_set : public branch_source {
  public:
    // Throws ADAPTER_MISMATCH for a target that the module does not have, or has in another shape, and what
    // loading weights throws.
    patch_set(const patch_plan & plan, const std::vector<weight_requirement> & module,
              const weights::options & how);

    const std::vector<weight_branch> & of(const std::string & name) const override;
    uint64_t bytes() const { return factors_->bytes(); }

  private:
    std::unique_ptr<weights> factors_;
    std::unordered_map<std::string, std::vector<weight_branch>> branches_;
};

}  // namespace safelight
