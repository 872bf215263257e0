#pragma once

namespace safelight::kernels {

// Instruction sets that an x64 processor has and whose registers the system saves. The compiler's
// __builtin_cpu_supports is not used, because it is always false in Zig's runtime library (0.17).
struct x86_features {
    bool avx2, fma, f16c, bmi2, avxvnni;
    bool avx512;  // F, BW, VL and DQ
    bool avx512vnni, avx512bf16;
};

// Defined for x64 processors only.
const x86_features & processor_features();

}  // namespace safelight::kernels
