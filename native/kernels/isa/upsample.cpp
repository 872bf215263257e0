#include "kernels/isa/isa.h"
#include "kernels/isa/micro.h"

namespace safelight::kernels::SAFELIGHT_ISA {

void upsample(const upsample_args & p, const team & t) {
    for_each_item(t, p.batch * p.height, [&](int64_t item) {
        const int64_t batch = item / p.height, y = item % p.height * p.from_height / p.height;
        const float * row = p.x + (batch * p.from_height + y) * p.from_width * p.channels;
        float * out = p.y + item * p.width * p.channels;
        for (int64_t x = 0; x < p.width; x++) {
            const float * from = row + x * p.from_width / p.width * p.channels;
            std::memcpy(out + x * p.channels, from, sizeof(float) * static_cast<size_t>(p.channels));
        }
    });
}

}  // namespace safelight::kernels::SAFELIGHT_ISA
