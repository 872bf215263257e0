#include "nn/conv.h"

#include "nn/fused/fusion.h"
#include "nn/layout.h"
#include "nn/linear.h"
#include "nn/weight.h"
#include "nn/weight_change.h"

namespace safelight {
namespace {

// Bytes of im2col patches above which the convolution gathers patches piece by piece.
constexpr int64_t im2col_limit = int64_t(256) << 20;

tensor with_bias(model_ref m, tensor x, int64_t out) {
    return ggml_add(m.ctx(), x, ggml_reshape_4d(m.ctx(), vector_weight(m, "bias", out), 1, 1, out, 1));
}

// Convolution by im2col and one matrix product: fast on GPUs, but needs kernel² times the map's memory.
tensor conv2d_im2col(ggml_context * ctx, tensor w, tensor x, conv_options o) {
    tensor patches = ggml_im2col(ctx, w, x, o.stride, o.stride, o.padding, o.padding, 1, 1, true, w->type);
    int64_t width = patches->ne[1], height = patches->ne[2], batch = patches->ne[3], out = w->ne[3];
    tensor y = ggml_mul_mat(ctx, ggml_reshape_2d(ctx, patches, patches->ne[0], width * height * batch),
                            ggml_reshape_2d(ctx, w, patches->ne[0], out));
    ggml_mul_mat_set_prec(y, GGML_PREC_F32);
    y = ggml_reshape_4d(ctx, y, width, height, batch, out);
    return ggml_cont(ctx, ggml_permute(ctx, y, 0, 1, 3, 2));
}

// ggml's direct convolution: its CPU kernel gathers patches in blocks of 16 MiB, independent of the map's
// size.
tensor conv2d_direct(ggml_context * ctx, tensor w, tensor x, conv_options o) {
    return ggml_conv_2d_direct(ctx, w, x, o.stride, o.stride, o.padding, o.padding, 1, 1);
}

bool im2col_fits(tensor x, conv_options o) {
    int64_t patch = int64_t(o.kernel) * o.kernel * int64_t(sizeof(float));
    return ggml_nelements(x) * patch / (int64_t(o.stride) * o.stride) <= im2col_limit;
}

tensor fused(model_ref m, tensor x, tensor w, tensor bias, conv_options o) {
    map_dims d = dims_of_map(m, x);
    product p;
    p.kind = product_kind::convolution;
    p.in = as_prologue(m, x);
    if (p.in.gamma) {  // LayerNorm is applied only by linear layers
        p.in = {};
        p.in.x = x;
    }
    p.w = w;
    p.bias = bias;
    p.out = w->ne[3];
    p.kernel = o.kernel;
    p.stride = o.stride;
    p.pad_begin = o.padding;
    p.wraps = m.g().wraps && o.padding > 0;
    p.ne[0] = p.out;
    p.ne[1] = (d.width + 2 * o.padding - o.kernel) / o.stride + 1;
    p.ne[2] = (d.height + 2 * o.padding - o.kernel) / o.stride + 1;
    p.ne[3] = d.batch;
    p.precision = precision_of_rows(m, p.ne[1] * p.ne[2]);
    if (p.winograd() && p.in.plain()) p.parts = readable_parts(m, p.in.x);
    return emit(m, p);
}

// Extends a side of a map by `padding` elements of the opposite edge at both ends; `side` is a dimension in
// ggml's order.
tensor wrap_side(ggml_context * ctx, tensor x, int side, int64_t padding) {
    const auto edge = [&](int64_t first) {
        int64_t ne[4] = {x->ne[0], x->ne[1], x->ne[2], x->ne[3]};
        ne[side] = padding;
        return ggml_cont(ctx, ggml_view_4d(ctx, x, ne[0], ne[1], ne[2], ne[3], x->nb[1], x->nb[2], x->nb[3],
                                           static_cast<size_t>(first) * x->nb[side]));
    };
    tensor y = ggml_concat(ctx, edge(x->ne[side] - padding), x, side);
    return ggml_concat(ctx, y, edge(0), side);
}

// Pads a map [W, H, C, B] with its opposite edges.
tensor wrap_map(ggml_context * ctx, tensor x, int padding) {
    for (int side : {0, 1}) x = wrap_side(ctx, x, side, padding);
    return x;
}

tensor stock(model_ref m, tensor x, tensor w, conv_options o) {
    w = as_filter(m, w);
    if (m.g().wraps && o.padding > 0) {
        x = wrap_map(m.ctx(), x, o.padding);
        o.padding = 0;
    }
    bool direct = expands_weights(m) || !im2col_fits(x, o);
    return direct ? conv2d_direct(m.ctx(), w, x, o) : conv2d_im2col(m.ctx(), w, x, o);
}

}  // namespace

tensor convolve(model_ref m, tensor x, tensor w, conv_options o) {
    return fuses(m) ? fused(m, x, w, nullptr, o) : stock(m, x, w, o);
}

tensor conv2d(model_ref m, tensor x, int64_t out, conv_options o) {
    tensor w = filter_weight(m, out, dims_of_map(m, x).channels, o.kernel);
    tensor y = nullptr;
    if (fuses(m)) {
        y = fused(m, x, w, o.bias ? vector_weight(m, "bias", out) : nullptr, o);
    } else {
        y = stock(m, x, w, o);
        if (o.bias) y = with_bias(m, y, out);
    }
    tensor change = conv_change(m, x, out, o);
    return change ? add(m, y, change) : y;
}

tensor depthwise_conv(model_ref m, tensor x) {
    const int64_t channels = dims_of_map(m, x).channels;
    tensor w = m.weight("weight", {channels, 1, 3, 3}, weight_role::vector);
    if (fuses(m)) return emit_depthwise(m, x, w, vector_weight(m, "bias", channels));
    return with_bias(m, ggml_conv_2d_dw_direct(m.ctx(), w, x, 1, 1, 1, 1, 1, 1), channels);
}

tensor conv1x1(model_ref m, tensor x, int64_t out) {
    map_dims d = dims_of_map(m, x);
    if (fuses(m) || !expands_weights(m)) {
        return map_from_sequence(m, linear(m, sequence_from_map(m, x), out), d.height, d.width);
    }
    // Convolve directly: a product would copy the map to another order, which is slow for the decoder's
    // largest maps.
    tensor w = as_matrix(m, matrix_weight(m, out, d.channels));
    w = ggml_reshape_4d(m.ctx(), w, 1, 1, d.channels, out);
    tensor y = with_bias(m, conv2d_direct(m.ctx(), w, x, {.kernel = 1, .stride = 1, .padding = 0}), out);
    if (m.weight_changes("weight").empty()) return y;
    tensor change = linear_change(m, sequence_from_map(m, x), out);
    return add(m, y, map_from_sequence(m, change, d.height, d.width));
}

}  // namespace safelight
