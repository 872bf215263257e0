#ifdef __aarch64__

#include "kernels/platform/arm_features.h"

#include <sys/auxv.h>

namespace safelight::kernels {

bool has_bf16_and_i8mm() {
    constexpr unsigned long i8mm = 1UL << 13, bf16 = 1UL << 14;  // of asm/hwcap.h
    return (getauxval(AT_HWCAP2) & (i8mm | bf16)) == (i8mm | bf16);
}

}  // namespace safelight::kernels

#endif
