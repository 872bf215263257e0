#include <numeric>

#include "kernels/isa/isa.h"
#include "kernels/isa/operands.h"
#include "kernels/scratch.h"

namespace safelight::kernels::SAFELIGHT_ISA {

namespace {

int64_t half_columns(const packing & p) {
    return p.gated ? p.columns / 2 : p.columns;
}
int64_t half_panels(const packing & p) {
    return (half_columns(p) + NB - 1) / NB;
}

// Returns the packing with taps as channels if the format does not group channels.
packing in_groups(packing p) {
    if (p.precision == precision::int8) {
        p.channels *= p.taps;
        p.taps = 1;
    }
    return p;
}

// Compares a panel [count][NB] with its packed form.
rounding compare(const float * panel, int64_t count, const uint32_t * packed) {
    constexpr int64_t each = int8_products::block;
    rounding sums;
    for (int64_t k = 0; k < count; k += each, packed += int8_products::rows_of_block * NB) {
        vf error = {}, norm = {};
        for (int64_t n = 0; n < NB; n += VL) {
            const vf scale = int8_products::scales(packed, n);
            for (int64_t i = 0; i < std::min(each, count - k); i++) {
                const vi four = reinterpret_cast<vi>(
                    int8_products::load_vector(packed + (1 + i / int8_products::depth) * NB + n));
                const vf value = load(panel + (k + i) * NB + n);
                const vf off = to_floats(four << (24 - 8 * (i % int8_products::depth)) >> 24) * scale - value;
                error += off * off;
                norm += value * value;
            }
        }
        sums.error += static_cast<double>(sum(error));
        sums.norm += static_cast<double>(sum(norm));
    }
    return sums;
}

template <class F>
rounding pack_panel(const weights & w, const packing & p, int64_t panel, typename F::element * out) {
    const int64_t half = panel / half_panels(p), first = panel % half_panels(p) * NB;
    const int rows = static_cast<int>(std::min<int64_t>(NB, half_columns(p) - first));
    // Channels per step: whole blocks of the storage type and of the format.
    const int64_t step = std::lcm(w.block, int64_t(64));
    float * expanded =
        scratch(static_cast<size_t>(NB * expand_row + std::min(step, p.channels) * p.taps * NB));
    float * columns = expanded + NB * expand_row;
    rounding total;
    for (int64_t c = 0; c < p.channels; c += step) {
        const int64_t count = std::min(step, p.channels - c);
        pack_weights<F>(w, half * half_columns(p) + first, rows, c, count, p.taps, expanded, columns, out);
        if (F::scales_rows && !is_q8(w)) {
            const rounding part = compare(columns, count, out);
            total.error += part.error;
            total.norm += part.norm;
        }
        out += F::panel_rows(count) * p.taps * NB;
    }
    return total;
}

}  // namespace

int64_t packed_panels(const packing & p) {
    return half_panels(p) * (p.gated ? 2 : 1);
}

size_t packed_panel_bytes(const packing & given) {
    const packing p = in_groups(given);
    const int64_t rows = p.precision == precision::int8 ? int8_products::panel_rows(p.channels)
                                                        : bf16_products::panel_rows(p.channels);
    return static_cast<size_t>(rows * p.taps * NB) * sizeof(uint32_t);
}

rounding pack(const weights & w, const packing & given, int64_t panel, void * out) {
    const packing p = in_groups(given);
    auto * to = static_cast<uint32_t *>(out);
    return p.precision == precision::int8 ? pack_panel<int8_products>(w, p, panel, to)
                                          : pack_panel<bf16_products>(w, p, panel, to);
}

}  // namespace safelight::kernels::SAFELIGHT_ISA
