#include "models/upscale/dat_blocks.h"

#include "nn/activation.h"
#include "nn/attention/channel.h"
#include "nn/conv.h"
#include "nn/layout.h"
#include "nn/linear.h"
#include "nn/norm.h"
#include "nn/weight.h"

namespace safelight {
namespace {

tensor packed_qkv(model_ref m, tensor x, const dat_block_params & p) {
    return p.qkv_bias ? linear(m, x, 3 * p.width) : linear_without_bias(m, x, 3 * p.width);
}

tensor depthwise_tokens(model_ref m, tensor x, const dat_map & map) {
    return sequence_from_map(m, depthwise_conv(m, map_from_sequence(m, x, map.height, map.width)));
}

// The convolution next to the attention: [B, T, C] of values -> [B, T, C].
tensor convolution(model_ref m, tensor values, const dat_map & map) {
    tensor x = depthwise_tokens(m[0], values, map);
    return gelu(m, batch_norm_tokens(m[1], x, dat_norm_eps));
}

// Weights of the channels from their means: [B, T, C] -> [B, 1, C].
tensor channel_map(model_ref m, tensor x, const dat_block_params & p) {
    tensor y = linear(m[1], channel_means(m, x), p.width / 8);
    y = gelu(m, batch_norm_tokens(m[2], y, dat_norm_eps));
    return ggml_sigmoid(m.ctx(), linear(m[4], y, p.width));
}

// Weights of the tokens: [B, T, C] -> [B, T, 1].
tensor spatial_map(model_ref m, tensor x, const dat_block_params & p) {
    tensor y = linear(m[0], x, p.width / 16);
    y = gelu(m, batch_norm_tokens(m[1], y, dat_norm_eps));
    return ggml_sigmoid(m.ctx(), linear(m[3], y, 1));
}

// The bias of each difference of positions, computed by a small network (CrossFormer: Wang et al. 2021):
// [(2·rows - 1)·(2·columns - 1), heads].
tensor position_bias(model_ref m, const window_grid & grid, int64_t width, int64_t heads) {
    const int64_t below = grid.rows - 1, right = grid.columns - 1;
    const int64_t rows = 2 * below + 1, columns = 2 * right + 1;
    auto fill = [below, right](const graph::host_data &, void * to) {
        float * difference = static_cast<float *>(to);
        for (int64_t y = -below; y <= below; ++y) {
            for (int64_t x = -right; x <= right; ++x) {
                *difference++ = static_cast<float>(y);
                *difference++ = static_cast<float>(x);
            }
        }
    };
    tensor x = linear(m["pos_proj"], m.g().computed(GGML_TYPE_F32, {rows * columns, 2}, fill), width);
    for (const char * layer : {"pos1", "pos2"})
        x = linear(m[layer][2], relu(m, layer_norm(m[layer][0], x, dat_norm_eps)), width);
    return linear(m["pos3"][2], relu(m, layer_norm(m["pos3"][0], x, dat_norm_eps)), heads);
}

// Half `index` of the channels of queries, keys and values: [B, T, 3C] -> [B, T, 3C/2].
tensor half_of(model_ref m, tensor qkv, int64_t index) {
    const int64_t half = qkv->ne[0] / 6;
    tensor view = ggml_view_4d(m.ctx(), qkv, half, 3, qkv->ne[1], qkv->ne[2], 2 * half * sizeof(float),
                               qkv->nb[1], qkv->nb[2], static_cast<size_t>(index * half) * sizeof(float));
    return ggml_reshape_3d(m.ctx(), ggml_cont(m.ctx(), view), 3 * half, qkv->ne[1], qkv->ne[2]);
}

// Attention within windows of both forms. Tokens beyond the map are zero, and others attend to them.
tensor attend_in_windows(model_ref m, tensor qkv, const dat_map & map, const windows (&w)[2],
                         const dat_block_params & p) {
    qkv = pad_tokens(m, qkv, map.height, map.width, map.padded_height, map.padded_width);
    const int64_t heads = p.heads / 2, bias_width = p.width / 2 / 4 / 4;
    tensor halves[2];
    for (int64_t i = 0; i < 2; ++i) {
        model_ref attn = m["attns"][i];
        tensor table = position_bias(attn["pos"], w[i].grid, bias_width, heads);
        tensor x = window_partition(m, half_of(m, qkv, i), w[i]);
        x = window_attention(attn, x, heads, window_bias(attn, table, w[i]), w[i]);
        x = window_merge(m, x, w[i]);
        halves[i] = crop_tokens(m, x, map.padded_height, map.padded_width, map.height, map.width);
    }
    return ggml_concat(m.ctx(), halves[0], halves[1], 0);
}

// Feed-forward network with a spatial gate: [B, T, C] -> [B, T, C].
tensor gated_mlp(model_ref m, tensor x, const dat_map & map, const dat_block_params & p) {
    const int64_t half = p.mlp_width / 2;
    x = gelu(m, linear(m["fc1"], x, p.mlp_width));
    tensor gate = layer_norm(m["sg"]["norm"], channel_range(m, x, half, half), dat_norm_eps);
    gate = depthwise_tokens(m["sg"]["conv"], gate, map);
    return linear(m["fc2"], ggml_mul(m.ctx(), gate, channel_range(m, x, 0, half)), p.width);
}

// Projects the sum of both paths, adds the skip connection, and applies the feed-forward network.
tensor finish_block(model_ref m, tensor x, tensor attended, tensor convolved, const dat_map & map,
                    const dat_block_params & p) {
    tensor y = linear(m["attn"]["proj"], ggml_add(m.ctx(), attended, convolved), p.width);
    x = add(m, y, x);
    return named_sequence(m, add(m, gated_mlp(m["ffn"], layer_norm(m["norm2"], x, dat_norm_eps), map, p), x));
}

}  // namespace

tensor dat_spatial_block(model_ref m, tensor x, const dat_map & map, bool shifted,
                         const dat_block_params & p) {
    model_ref attn = m["attn"];
    tensor qkv = packed_qkv(attn["qkv"], layer_norm(m["norm1"], x, dat_norm_eps), p);
    tensor attended = attend_in_windows(attn, qkv, map, shifted ? map.shifted : map.plain, p);
    tensor convolved = convolution(attn["dwconv"], channel_range(m, qkv, 2 * p.width, p.width), map);
    tensor channels = channel_map(attn["channel_interaction"], convolved, p);
    tensor tokens = spatial_map(attn["spatial_interaction"], attended, p);
    return finish_block(m, x, ggml_mul(m.ctx(), attended, channels), ggml_mul(m.ctx(), convolved, tokens),
                        map, p);
}

tensor dat_channel_block(model_ref m, tensor x, const dat_map & map, const dat_block_params & p) {
    model_ref attn = m["attn"];
    tensor qkv = packed_qkv(attn["qkv"], layer_norm(m["norm1"], x, dat_norm_eps), p);
    tensor attended = channel_attention(attn, qkv, p.heads, vector_weight(attn, "temperature", p.heads));
    tensor convolved = convolution(attn["dwconv"], channel_range(m, qkv, 2 * p.width, p.width), map);
    tensor channels = channel_map(attn["channel_interaction"], attended, p);
    tensor tokens = spatial_map(attn["spatial_interaction"], convolved, p);
    return finish_block(m, x, ggml_mul(m.ctx(), attended, tokens), ggml_mul(m.ctx(), convolved, channels),
                        map, p);
}

}  // namespace safelight
