#include "nn/layout.h"

#include <utility>

#include "nn/fused/fusion.h"

namespace safelight {
namespace {

// Reshapes v [C] to broadcast along the channels of a map.
tensor broadcast_channels(model_ref m, tensor v) {
    return fuses(m) ? v : ggml_reshape_4d(m.ctx(), v, 1, 1, v->ne[0], 1);
}

}  // namespace

map_dims dims_of_map(model_ref m, tensor x) {
    if (fuses(m)) return {x->ne[3], x->ne[0], x->ne[2], x->ne[1]};
    return {x->ne[3], x->ne[2], x->ne[1], x->ne[0]};
}

sequence_dims dims_of_sequence(tensor x) {
    return {x->ne[2], x->ne[1], x->ne[0]};
}

tensor map_input(model_ref m, const std::string & name, const shape & dims) {
    tensor x = m.g().input(name, GGML_TYPE_F32, dims);
    return fuses(m) ? ggml_cont(m.ctx(), ggml_permute(m.ctx(), x, 1, 2, 0, 3)) : x;
}

void map_output(model_ref m, const std::string & name, tensor x) {
    map_dims d = dims_of_map(m, x);
    if (fuses(m)) x = ggml_permute(m.ctx(), x, 2, 0, 1, 3);
    m.g().output(name, x, {d.batch, d.channels, d.height, d.width});
}

tensor sequence_from_map(model_ref m, tensor x) {
    map_dims d = dims_of_map(m, x);
    if (fuses(m)) return reshape_fused(m, x, d.channels, d.width * d.height, d.batch, 1);
    tensor flat = ggml_reshape_3d(m.ctx(), x, d.width * d.height, d.channels, d.batch);
    return ggml_cont(m.ctx(), ggml_permute(m.ctx(), flat, 1, 0, 2, 3));
}

tensor map_from_sequence(model_ref m, tensor x, int64_t height, int64_t width) {
    sequence_dims d = dims_of_sequence(x);
    if (fuses(m)) return reshape_fused(m, x, d.channels, width, height, d.batch);
    tensor planes = ggml_cont(m.ctx(), ggml_permute(m.ctx(), x, 1, 0, 2, 3));
    return ggml_reshape_4d(m.ctx(), planes, width, height, d.channels, d.batch);
}

tensor channel_range(model_ref m, tensor x, int64_t first, int64_t count) {
    return ggml_cont(m.ctx(), ggml_view_3d(m.ctx(), x, count, x->ne[1], x->ne[2], x->nb[1], x->nb[2],
                                           static_cast<size_t>(first) * sizeof(float)));
}

tensor channel_means(model_ref m, tensor x) {
    tensor means = ggml_mean(m.ctx(), ggml_cont(m.ctx(), ggml_permute(m.ctx(), x, 1, 0, 2, 3)));
    return ggml_reshape_3d(m.ctx(), means, x->ne[0], 1, x->ne[2]);
}

tensor pad_tokens(model_ref m, tensor x, int64_t height, int64_t width, int64_t to_height, int64_t to_width) {
    if (height == to_height && width == to_width) return x;
    tensor map = ggml_reshape_4d(m.ctx(), x, x->ne[0], width, height, x->ne[2]);
    map = ggml_pad(m.ctx(), map, 0, static_cast<int>(to_width - width), static_cast<int>(to_height - height),
                   0);
    return ggml_reshape_3d(m.ctx(), map, x->ne[0], to_width * to_height, x->ne[2]);
}

tensor crop_tokens(model_ref m, tensor x, int64_t height, int64_t width, int64_t to_height,
                   int64_t to_width) {
    if (height == to_height && width == to_width) return x;
    tensor map = ggml_reshape_4d(m.ctx(), x, x->ne[0], width, height, x->ne[2]);
    map = ggml_cont(m.ctx(), ggml_view_4d(m.ctx(), map, x->ne[0], to_width, to_height, x->ne[2], map->nb[1],
                                          map->nb[2], map->nb[3], 0));
    return ggml_reshape_3d(m.ctx(), map, x->ne[0], to_width * to_height, x->ne[2]);
}

tensor concat_channels(model_ref m, tensor a, tensor b) {
    return fuses(m) ? concatenated(m, a, b) : ggml_concat(m.ctx(), a, b, 2);
}

tensor add_to_channels(model_ref m, tensor x, tensor v) {
    if (!fuses(m)) return ggml_add(m.ctx(), x, ggml_reshape_4d(m.ctx(), v, 1, 1, v->ne[0], v->ne[1]));
    if (tensor y = with_channel_sum(m, x, v)) return y;
    return ggml_add(m.ctx(), x, ggml_reshape_4d(m.ctx(), v, v->ne[0], 1, 1, v->ne[1]));
}

tensor add_channels(model_ref m, tensor x, tensor v) {
    return ggml_add(m.ctx(), x, broadcast_channels(m, v));
}

tensor subtract_channels(model_ref m, tensor x, tensor v) {
    return ggml_sub(m.ctx(), x, broadcast_channels(m, v));
}

tensor multiply_channels(model_ref m, tensor x, tensor v) {
    return ggml_mul(m.ctx(), x, broadcast_channels(m, v));
}

tensor divide_channels(model_ref m, tensor x, tensor v) {
    return ggml_div(m.ctx(), x, broadcast_channels(m, v));
}

tensor add(model_ref m, tensor a, tensor b) {
    if (tensor y = sum_with_product(m, a, b)) return y;
    return ggml_add(m.ctx(), a, b);
}

tensor scaled_sum(model_ref m, tensor x, float scale, tensor y) {
    if (tensor z = scaled_sum_with_product(m, x, scale, y)) return z;
    return ggml_add(m.ctx(), ggml_scale(m.ctx(), x, scale), y);
}

tensor named_map(model_ref m, tensor x) {
    map_dims d = dims_of_map(m, x);
    return m.named(x, {d.batch, d.channels, d.height, d.width});
}

tensor named_sequence(model_ref m, tensor x) {
    sequence_dims d = dims_of_sequence(x);
    return m.named(x, {d.batch, d.length, d.channels});
}

tensor named_vector(model_ref m, tensor x) {
    return m.named(x, {x->ne[1], x->ne[0]});
}

}  // namespace safelight
