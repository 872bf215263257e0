#ifdef __x86_64__

#include "kernels/x86_features.h"

#include <cpuid.h>

#include <cstdint>

namespace safelight::kernels {

namespace {

struct registers {
    unsigned a = 0, b = 0, c = 0, d = 0;
};

// Returns zeros for a leaf that the processor does not have.
registers cpuid(unsigned leaf, unsigned subleaf) {
    registers out;
    __get_cpuid_count(leaf, subleaf, &out.a, &out.b, &out.c, &out.d);
    return out;
}

bool bit(unsigned word, int index) {
    return (word >> index & 1) != 0;
}

// Returns XCR0, which says which registers the system saves when it switches between threads.
uint64_t saved_registers() {
    uint32_t low = 0, high = 0;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return uint64_t{high} << 32 | low;
}

// Bits by Intel's Software Developer's Manual, volume 2A, CPUID, and volume 1, chapter 13.
x86_features detect() {
    const registers basic = cpuid(1, 0), extended = cpuid(7, 0), more = cpuid(7, 1);
    const bool osxsave = bit(basic.c, 27);
    const uint64_t saved = osxsave ? saved_registers() : 0;
    const bool ymm = (saved & 0x6) == 0x6;
#ifdef __APPLE__
    const bool zmm = ymm;  // macOS enables these registers when a thread first uses them
#else
    const bool zmm = (saved & 0xe6) == 0xe6;
#endif
    x86_features out = {};
    out.avx2 = ymm && bit(basic.c, 28) && bit(extended.b, 5);
    out.fma = ymm && bit(basic.c, 12);
    out.f16c = ymm && bit(basic.c, 29);
    out.bmi2 = bit(extended.b, 8);
    out.avxvnni = ymm && bit(more.a, 4);
    out.avx512 =
        zmm && bit(extended.b, 16) && bit(extended.b, 30) && bit(extended.b, 31) && bit(extended.b, 17);
    out.avx512vnni = zmm && bit(extended.c, 11);
    out.avx512bf16 = zmm && bit(more.a, 5);
    return out;
}

}  // namespace

const x86_features & processor_features() {
    static const x86_features found = detect();
    return found;
}

}  // namespace safelight::kernels

#endif
