#include "kernels/isa/isa.h"
#include "kernels/isa/micro.h"
#include "kernels/isa/read_row.h"

namespace safelight::kernels::SAFELIGHT_ISA {

void rows(const gemm_args & p, const team & t) {
    constexpr int64_t each = 32;
    for_each_item(t, (p.rows + each - 1) / each, [&](int64_t item) {
        for (int64_t r = item * each; r < std::min(p.rows, (item + 1) * each); r++)
            read_row(p, r, p.y + r * p.ldy);
    });
}

}  // namespace safelight::kernels::SAFELIGHT_ISA
