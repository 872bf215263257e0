#include "kernels/isa/isa.h"
#include "kernels/isa/simd.h"

#define SAFELIGHT_TEXT(x) #x
#define SAFELIGHT_NAME(x) SAFELIGHT_TEXT(x)

namespace safelight::kernels::SAFELIGHT_ISA {

#if defined(__AVX512BF16__) || defined(__ARM_FEATURE_BF16_VECTOR_ARITHMETIC)
constexpr bool bf16_products_in_hardware = true;
#else
constexpr bool bf16_products_in_hardware = false;
#endif
#if defined(__AVX512VNNI__) || defined(__AVXVNNI__) || defined(__ARM_FEATURE_MATMUL_INT8)
constexpr bool int8_products_in_hardware = true;
#else
constexpr bool int8_products_in_hardware = false;
#endif

const table kernels = {SAFELIGHT_NAME(SAFELIGHT_ISA),
                       bf16_products_in_hardware,
                       int8_products_in_hardware,
                       group_norm_partial,
                       group_norm_fold,
                       conv3x3,
                       gemm,
                       rows,
                       attention,
                       upsample,
                       nearest_code,
                       depthwise3x3,
                       NB,
                       packed_panels,
                       packed_panel_bytes,
                       pack};

}  // namespace safelight::kernels::SAFELIGHT_ISA
