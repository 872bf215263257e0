#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "runtime/weights/weight_plan.h"

namespace safelight {

// One change to one parameter; PlannedPatch of lib/binding/types.ts.
struct weight_patch {
    struct range {
        int64_t begin, end;
    };
    enum class kind { low_rank, full, hadamard, kronecker, multiply, rotate, butterfly };
    enum class axis { output, input };

    std::string target;
    kind change = kind::low_rank;
    std::map<std::string, std::string> factors;  // entries of the plan's weights, by role ("up", "down")
    float scale = 1;                             // strength of the whole change
    float factor = 1;                            // of the difference, before `magnitude` is applied
    axis along = axis::output;                   // of `multiply` and of the magnitude
    float constraint = 0;                        // of rotations: bound of ||Q||; 0 for none
    std::optional<range> rows, columns;          // of the target; all of them by default
    std::optional<range> factor_rows;            // of a Kronecker product, whose factors cannot be cut

    const std::string * named(const std::string & role) const {
        auto found = factors.find(role);
        return found == factors.end() ? nullptr : &found->second;
    }
    // Changes that can be computed next to the weight's own product (nn/weight_change.h).
    bool branches() const {
        return change == kind::full || (change == kind::low_rank && !named("mid") && !named("magnitude"));
    }
};

struct patch_plan {
    weight_plan weights;
    std::vector<weight_patch> patches;
    // Parameters that are rewritten, with the type in which the copy is stored.
    std::map<std::string, ggml_type> merged;
};

}  // namespace safelight
