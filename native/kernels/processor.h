#pragma once

namespace safelight::kernels {

// Returns false on an x64 processor without the instruction sets that ggml is compiled for (x86-64-v3).
// Running a graph there would end the process with an illegal instruction.
bool is_supported_processor();

}  // namespace safelight::kernels
