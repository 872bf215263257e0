#ifdef __aarch64__

#include "kernels/platform/arm_features.h"

#define WIN32_LEAN_AND_MEAN
#include <windows.h>

namespace safelight::kernels {

// Windows versions that do not know a feature report that it is missing.
bool has_bf16_and_i8mm() {
    constexpr DWORD i8mm = 66, bf16 = 68;  // PF_ARM_V82_I8MM_..., PF_ARM_V86_BF16_INSTRUCTIONS_AVAILABLE
    return IsProcessorFeaturePresent(i8mm) && IsProcessorFeaturePresent(bf16);
}

}  // namespace safelight::kernels

#endif
