#ifdef __aarch64__

#include "kernels/platform/arm_features.h"

#include <sys/sysctl.h>

#include <cstddef>

namespace safelight::kernels {

bool has_bf16_and_i8mm() {
    const auto has = [](const char * name) {
        int value = 0;
        size_t size = sizeof value;
        return sysctlbyname(name, &value, &size, nullptr, 0) == 0 && value != 0;
    };
    return has("hw.optional.arm.FEAT_BF16") && has("hw.optional.arm.FEAT_I8MM");
}

}  // namespace safelight::kernels

#endif
