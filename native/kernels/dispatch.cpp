#include <cstdlib>
#include <cstring>

#include "kernels/kernels.h"
#include "kernels/platform/arm_features.h"
#include "kernels/processor.h"
#include "kernels/x86_features.h"

namespace safelight::kernels {

#if defined(__x86_64__)
namespace avx2 {
extern const table kernels;
}
namespace avxvnni {
extern const table kernels;
}
namespace avx512 {
extern const table kernels;
}
namespace avx512vnni {
extern const table kernels;
}
namespace avx512bf16 {
extern const table kernels;
}
#elif defined(__aarch64__)
namespace neon {
extern const table kernels;
}
namespace neonbf16 {
extern const table kernels;
}
#endif
namespace portable {
extern const table kernels;
}

namespace {

#if defined(__x86_64__)
bool has_avx2() {
    const x86_features & has = processor_features();
    return has.avx2 && has.fma && has.f16c;
}
bool has_avxvnni() {
    return has_avx2() && processor_features().avxvnni;
}
bool has_avx512() {
    return has_avx2() && processor_features().avx512;
}
bool has_avx512vnni() {
    return has_avx512() && processor_features().avx512vnni;
}
bool has_avx512bf16() {
    return has_avx512vnni() && processor_features().avx512bf16;
}
#endif
bool always() {
    return true;
}

struct candidate {
    const table * kernels;
    bool (*supported)();
};
// Best first. Every 64-bit Arm processor has NEON with f16 conversions.
const candidate candidates[] = {
#if defined(__x86_64__)
    {&avx512bf16::kernels, has_avx512bf16},
    {&avx512vnni::kernels, has_avx512vnni},
    {&avx512::kernels, has_avx512},
    {&avxvnni::kernels, has_avxvnni},
    {&avx2::kernels, has_avx2},
#elif defined(__aarch64__)
    {&neonbf16::kernels, has_bf16_and_i8mm},
    {&neon::kernels, always},
#endif
    {&portable::kernels, always},
};

}  // namespace

bool is_supported_processor() {
#if defined(__x86_64__)
    return has_avx2() && processor_features().bmi2;
#else
    return true;
#endif
}

const table * find(const char * name) {
    for (const candidate & each : candidates) {
        if (std::strcmp(each.kernels->name, name) == 0 && each.supported()) return each.kernels;
    }
    return nullptr;
}

const table & active() {
    static const table * const selected = [] {
        const char * requested = std::getenv("SAFELIGHT_ISA");
        if (const table * t = requested ? find(requested) : nullptr) return t;
        for (const candidate & each : candidates) {
            if (each.supported()) return each.kernels;
        }
        return &portable::kernels;
    }();
    return *selected;
}

void leave(const team & t) {
    if (t.counter->finished.fetch_add(1, std::memory_order_acq_rel) == t.count - 1) {
        for (auto & lane : t.counter->next) lane.store(0, std::memory_order_relaxed);
        t.counter->finished.store(0, std::memory_order_release);
    }
}

bool is_product(const conv3x3_args & p) {
    const bool scaled = p.scale != 1 || p.residual_scale != 1 || p.residual2;
    // Precisions that differ visibly must not depend on the batch.
    const int64_t batch = p.precision == precision::f32 ? p.batch : 1;
    return batch * p.height * p.width <= 32 && p.part_count == 0 && !scaled;
}

int64_t group_norm_chunks(int64_t pixels) {
    return (pixels + 63) / 64;
}

}  // namespace safelight::kernels
