// 3x3 convolution of each channel by itself (depthwise). The filters are transposed once per thread, so that
// a vector of channels is multiplied at a time.

#include "kernels/isa/functions.h"
#include "kernels/isa/isa.h"
#include "kernels/isa/micro.h"
#include "kernels/scratch.h"

namespace safelight::kernels::SAFELIGHT_ISA {

void depthwise3x3(const depthwise3x3_args & p, const team & t) {
    float * taps = scratch(static_cast<size_t>(9 * p.channels));  // [9][channels]
    for (int64_t c = 0; c < p.channels; c++) {
        for (int64_t tap = 0; tap < 9; tap++) taps[tap * p.channels + c] = p.w[c * 9 + tap];
    }
    for_each_item(t, p.batch * p.height, [&](int64_t row) {
        const int64_t y = row % p.height;
        for (int64_t x = 0; x < p.width; x++) {
            for (int64_t c = 0; c < p.channels; c += VL) {
                const int part = static_cast<int>(std::min<int64_t>(VL, p.channels - c));
                vf sum = load_part(p.bias + c, part);
                for (int64_t tap = 0; tap < 9; tap++) {
                    const int64_t i = y + tap / 3 - 1, j = x + tap % 3 - 1;
                    if (i < 0 || i >= p.height || j < 0 || j >= p.width) continue;
                    const float * from = p.x + ((row - y + i) * p.width + j) * p.channels + c;
                    sum += load_part(from, part) * load_part(taps + tap * p.channels + c, part);
                }
                store_part(p.y + (row * p.width + x) * p.channels + c, sum, part);
            }
        }
    });
}

}  // namespace safelight::kernels::SAFELIGHT_ISA
