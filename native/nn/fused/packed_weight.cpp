#include "nn/fused/packed_weight.h"

#include <cmath>

namespace safelight {
namespace {

// Weights stay in bf16 if their relative root mean square error in int8 is greater; that of normally
// distributed weights is 0.6 %.
constexpr double largest_error = 0.01;

size_t bytes_of(const kernels::packing & layout) {
    const kernels::table & k = kernels::active();
    return static_cast<size_t>(k.packed_panels(layout)) * k.packed_panel_bytes(layout);
}

}  // namespace

void packed_weight::prepare(const parallel & run) {
    try {
        pack(run);
    } catch (const std::bad_alloc &) {
        out_of_memory(bytes_of(layout_), "The packed weights");
    }
}

void packed_weight::pack(const parallel & run) {
    const kernels::table & k = kernels::active();
    if (!keep_ && layout_.precision != kernels::precision::int8) return;
    const int64_t panels = k.packed_panels(layout_);
    const size_t each = k.packed_panel_bytes(layout_);
    if (keep_) {
        require_memory(bytes_of(layout_), available_memory(), "The packed weights");
        memory_ = system_memory(bytes_of(layout_));
        data_ = static_cast<const std::byte *>(memory_.data());
        size_ = memory_.size();
    }
    std::vector<kernels::rounding> parts(static_cast<size_t>(panels));
    run(panels, [&](int64_t panel) {
        std::vector<std::byte> unkept(keep_ ? 0 : each);
        void * to = keep_ ? static_cast<std::byte *>(memory_.data()) + static_cast<size_t>(panel) * each
                          : unkept.data();
        parts[static_cast<size_t>(panel)] = k.pack(source_, layout_, panel, to);
    });
    double error = 0, norm = 0;
    for (const kernels::rounding & part : parts) {
        error += part.error;
        norm += part.norm;
    }
    // Not finite if a scale does not fit into f16.
    if (error == 0 || std::sqrt(error / norm) <= largest_error) return;
    layout_.precision = kernels::precision::bf16;
    memory_ = {};
    pack(run);
}

bool packed_weight::use(const std::byte * bytes, uint64_t size) {
    for (kernels::precision precision : {layout_.precision, kernels::precision::bf16}) {
        kernels::packing layout = layout_;
        layout.precision = precision;
        if (size != bytes_of(layout)) continue;
        layout_ = layout;
        data_ = bytes;
        size_ = size;
        return true;
    }
    return false;
}

std::shared_ptr<packed_weight> request_packed(prepared_weights & weights, const product & p,
                                              kernels::precision precision, const std::string & name,
                                              bool keep) {
    const int64_t taps = int64_t(p.kernel) * p.kernel;
    const kernels::packing layout{precision, p.out, ggml_nelements(p.w) / p.out / taps, taps,
                                  p.act == kernels::activation::geglu};
    std::string key = name + (precision == kernels::precision::int8 ? " int8" : " bf16");
    for (int64_t part : {layout.columns, layout.channels, taps, int64_t(layout.gated),
                         int64_t(kernels::active().panel_columns)}) {
        key += ' ';
        key += std::to_string(part);
    }
    const auto weight = weights.request(
        key, [&] { return std::make_shared<packed_weight>(kernel_weights(p.w, p.out), layout, keep); });
    return std::static_pointer_cast<packed_weight>(weight);
}

kernels::weights kernel_weights(tensor w, int64_t rows) {
    const auto * traits = ggml_get_type_traits(w->type);
    kernels::weights out{};
    out.data = w->data;
    out.row_bytes = ggml_nbytes(w) / static_cast<size_t>(rows);
    out.block = traits->blck_size;
    out.block_bytes = traits->type_size;
    switch (w->type) {
        case GGML_TYPE_F32:
            out.type = kernels::storage::f32;
            break;
        case GGML_TYPE_F16:
            out.type = kernels::storage::f16;
            break;
        case GGML_TYPE_BF16:
            out.type = kernels::storage::bf16;
            break;
        default:
            out.type = kernels::storage::blocks;
            out.expand = traits->to_float;
    }
    return out;
}

}  // namespace safelight
