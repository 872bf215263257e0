#include "nn/resample.h"

#include "nn/fused/fusion.h"
#include "nn/layout.h"

namespace safelight {

tensor upsample_nearest(model_ref m, tensor x, int64_t height, int64_t width) {
    if (fuses(m)) return emit_upsample(m, x, height, width);
    map_dims d = dims_of_map(m, x);
    return ggml_interpolate(m.ctx(), x, width, height, d.channels, d.batch, GGML_SCALE_MODE_NEAREST);
}

tensor average_2x2(model_ref m, tensor x) {
    if (!fuses(m)) return ggml_pool_2d(m.ctx(), x, GGML_OP_POOL_AVG, 2, 2, 2, 2, 0, 0);
    // In channels-last order, every second pixel is a view of whole rows of channels; average four such
    // views.
    auto every_second = [&](int64_t row, int64_t column) {
        return ggml_view_4d(m.ctx(), x, x->ne[0], x->ne[1] / 2, x->ne[2] / 2, x->ne[3], 2 * x->nb[1],
                            2 * x->nb[2], x->nb[3], row * x->nb[2] + column * x->nb[1]);
    };
    tensor above = ggml_add(m.ctx(), every_second(0, 0), every_second(0, 1));
    tensor below = ggml_add(m.ctx(), every_second(1, 0), every_second(1, 1));
    return ggml_scale(m.ctx(), ggml_add(m.ctx(), above, below), 0.25f);
}

tensor max_pool(model_ref m, tensor x) {
    // ggml pools planes, so channels-last maps are permuted before and after.
    if (fuses(m)) x = ggml_cont(m.ctx(), ggml_permute(m.ctx(), x, 2, 0, 1, 3));
    x = ggml_pool_2d(m.ctx(), x, GGML_OP_POOL_MAX, 2, 2, 2, 2, 0, 0);
    return fuses(m) ? ggml_cont(m.ctx(), ggml_permute(m.ctx(), x, 1, 2, 0, 3)) : x;
}

// In ggml's order, with j the fastest part of the channel and of the column: [j, i, C, W·H·B] becomes
// [C, j, i, W·H·B], then [C·j, W, i, H·B] if channels are last. Otherwise [W·H, j, i·C·B] becomes [j, W·H,
// i·C·B], then [j·W, i, H, C·B].
tensor pixel_shuffle(model_ref m, tensor x, int64_t factor) {
    map_dims d = dims_of_map(m, x);
    int64_t f = factor, channels = d.channels / (f * f);
    ggml_context * ctx = m.ctx();
    if (fuses(m)) {
        x = ggml_reshape_4d(ctx, x, f, f, channels, d.width * d.height * d.batch);
        x = ggml_cont(ctx, ggml_permute(ctx, x, 1, 2, 0, 3));
        x = ggml_reshape_4d(ctx, x, channels * f, f, d.width, d.height * d.batch);
        x = ggml_cont(ctx, ggml_permute(ctx, x, 0, 2, 1, 3));
        return ggml_reshape_4d(ctx, x, channels, d.width * f, d.height * f, d.batch);
    }
    x = ggml_reshape_3d(ctx, x, d.width * d.height, f, f * channels * d.batch);
    x = ggml_cont(ctx, ggml_permute(ctx, x, 1, 0, 2, 3));
    x = ggml_reshape_4d(ctx, x, f * d.width, d.height, f, channels * d.batch);
    x = ggml_cont(ctx, ggml_permute(ctx, x, 0, 2, 1, 3));
    return ggml_reshape_4d(ctx, x, f * d.width, f * d.height, channels, d.batch);
}

tensor pixel_unshuffle(model_ref m, tensor x, int64_t factor) {
    map_dims d = dims_of_map(m, x);
    int64_t f = factor, width = d.width / f, height = d.height / f;
    ggml_context * ctx = m.ctx();
    if (fuses(m)) {
        x = ggml_reshape_4d(ctx, x, d.channels * f, width, f, height * d.batch);
        x = ggml_cont(ctx, ggml_permute(ctx, x, 0, 2, 1, 3));
        x = ggml_reshape_4d(ctx, x, d.channels, f, f, width * height * d.batch);
        x = ggml_cont(ctx, ggml_permute(ctx, x, 2, 0, 1, 3));
        return ggml_reshape_4d(ctx, x, d.channels * f * f, width, height, d.batch);
    }
    x = ggml_reshape_4d(ctx, x, f * width, f, height, d.channels * d.batch);
    x = ggml_cont(ctx, ggml_permute(ctx, x, 0, 2, 1, 3));
    x = ggml_reshape_3d(ctx, x, f, width * height, f * d.channels * d.batch);
    x = ggml_cont(ctx, ggml_permute(ctx, x, 1, 0, 2, 3));
    return ggml_reshape_4d(ctx, x, width, height, f * f * d.channels, d.batch);
}

tensor pad_bottom_right(model_ref m, tensor x) {
    return fuses(m) ? ggml_pad(m.ctx(), x, 0, 1, 1, 0) : ggml_pad(m.ctx(), x, 1, 1, 0, 0);
}

}  // namespace safelight
