#pragma once

#include <vector>

#include "runtime/patches/patch_factors.h"

namespace safelight {

// Applies a patch to its part of the parameter w of shape dims. Throws ADAPTER_MISMATCH for factors that do
// not fit.
void apply_patch(const patch_factors & factors, std::vector<float> & w, const shape & dims);

// Returns the factors of the patches that rewrite a parameter, to be loaded. Throws ADAPTER_MISMATCH for one
// that is missing or empty, INVALID_OPTION for a scale that is not finite.
std::vector<weight_requirement> merged_factors(const patch_plan & plan);

// Throws INVALID_OPTION for a scale that is not finite.
void check_scale(const weight_patch & patch);

}  // namespace safelight
