#pragma once

namespace safelight::kernels {

// Returns true if a 64-bit Arm processor has the instructions for products of bf16 and of int8 numbers
// (Armv8.6). Defined for these processors only.
bool has_bf16_and_i8mm();

}  // namespace safelight::kernels
