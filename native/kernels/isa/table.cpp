#include "kernels/isa/isa.h"

#define SAFELIGHT_TEXT(x) #x
#define SAFELIGHT_NAME(x) SAFELIGHT_TEXT(x)

namespace safelight::kernels::SAFELIGHT_ISA {

const table kernels = {SAFELIGHT_NAME(SAFELIGHT_ISA),
                       group_norm_partial,
                       group_norm_fold,
                       conv3x3,
                       gemm,
                       rows,
                       attention,
                       upsample,
                       nearest_code,
                       depthwise3x3};

}  // namespace safelight::kernels::SAFELIGHT_ISA
