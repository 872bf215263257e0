#include "kernels/isa/isa.h"
#include "kernels/isa/micro.h"
#include "kernels/isa/read_row.h"

namespace safelight::kernels::SAFELIGHT_ISA {

void rows(const gemm_args & p, const team & t) {
    constexpr int64_t rows_per_item = 32;
    for_each_item(t, (p.rows + rows_per_item - 1) / rows_per_item, [&](int64_t item) {
        for (int64_t r = item * rows_per_item; r < std::min(p.rows, (item + 1) * rows_per_item); r++)
            read_row(p, r, 1, p.y + r * p.ldy);
    });
}

}  // namespace safelight::kernels::SAFELIGHT_ISA
