#include <cstdlib>
#include <cstring>

#include "kernels/kernels.h"

namespace safelight::kernels {

#if defined(__x86_64__)
namespace avx2 {
extern const table kernels;
}
namespace avx512 {
extern const table kernels;
}
namespace avx512bf16 {
extern const table kernels;
}
#endif
#if defined(__aarch64__)
namespace neon {
extern const table kernels;
}
namespace fallback = neon;
#else
namespace portable {
extern const table kernels;
}
namespace fallback = portable;
#endif

namespace {

bool is_supported(const table & t) {
#if defined(__x86_64__)
    if (&t == &avx512bf16::kernels)
        return __builtin_cpu_supports("avx512bf16") && is_supported(avx512::kernels);
    if (&t == &avx512::kernels) {
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
    }
    if (&t == &avx2::kernels) {
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
               __builtin_cpu_supports("f16c");
    }
#endif
    return true;
}

// Best first; the last one runs on every processor. Every 64-bit Arm processor has NEON with f16
// conversions.
const table * const tables[] = {
#if defined(__x86_64__)
    &avx512bf16::kernels,
    &avx512::kernels,
    &avx2::kernels,
#endif
    &fallback::kernels,
};

}  // namespace

const table * find(const char * name) {
    for (const table * t : tables) {
        if (std::strcmp(t->name, name) == 0 && is_supported(*t)) return t;
    }
    return nullptr;
}

const table & active() {
    static const table * const selected = [] {
        const char * requested = std::getenv("SAFELIGHT_ISA");
        if (const table * t = requested ? find(requested) : nullptr) return t;
        for (const table * t : tables) {
            if (is_supported(*t)) return t;
        }
        return &fallback::kernels;
    }();
    return *selected;
}

void leave(const team & t) {
    if (t.counter->finished.fetch_add(1, std::memory_order_acq_rel) == t.count - 1) {
        for (auto & lane : t.counter->next) lane.store(0, std::memory_order_relaxed);
        t.counter->finished.store(0, std::memory_order_release);
    }
}

int64_t group_norm_chunks(int64_t pixels) {
    return (pixels + 63) / 64;
}

}  // namespace safelight::kernels
