#include "nn/weight.h"

namespace safelight {
namespace {

// Casts a filter to f32 with one row per filter: ggml's cast is slow with rows of `kernel` numbers.
tensor expanded_filter(ggml_context * ctx, tensor w) {
    tensor rows = ggml_reshape_2d(ctx, w, w->ne[0] * w->ne[1] * w->ne[2], w->ne[3]);
    return ggml_reshape_4d(ctx, ggml_cast(ctx, rows, GGML_TYPE_F32), w->ne[0], w->ne[1], w->ne[2], w->ne[3]);
}

}  // namespace

bool expands_weights(model_ref m) {
    return m.g().opts().cpu && !m.g().opts().stock_ops;
}

tensor matrix_weight(model_ref m, int64_t out, int64_t in) {
    return m.weight("weight", {out, in}, weight_role::matrix);
}

tensor filter_weight(model_ref m, int64_t out, int64_t in, int64_t kernel) {
    return m.weight("weight", {out, in, kernel, kernel}, weight_role::conv);
}

tensor as_matrix(model_ref m, tensor w) {
    return w->type == GGML_TYPE_F32 || !expands_weights(m) ? w : ggml_cast(m.ctx(), w, GGML_TYPE_F32);
}

tensor as_filter(model_ref m, tensor w) {
    bool as_stored = w->type == GGML_TYPE_F32 || (w->type == GGML_TYPE_F16 && !expands_weights(m));
    return as_stored ? w : expanded_filter(m.ctx(), w);
}

tensor vector_weight(model_ref m, std::string_view part, int64_t n) {
    return m.weight(part, {n}, weight_role::vector);
}

}  // namespace safelight
