#include "models/blocks.h"

#include "nn/activation.h"
#include "nn/attention/attention.h"
#include "nn/attention/qkv.h"
#include "nn/conv.h"
#include "nn/layout.h"
#include "nn/linear.h"
#include "nn/resample.h"

namespace safelight {

namespace {

tensor resampled(model_ref m, tensor x, const resampling & to) {
    if (to.kind == resampling::halve) return average_2x2(m, x);
    return to.kind == resampling::enlarge ? upsample_nearest(m, x, to.height, to.width) : x;
}

tensor divided(model_ref m, tensor x, float divisor) {
    return divisor == 1 ? x : ggml_scale(m.ctx(), x, 1 / divisor);
}

}  // namespace

tensor resnet_block(model_ref m, tensor x, tensor emb, int64_t channels, group_norm_options norm) {
    return resnet_block(m, x, emb, channels, resnet_options{norm});
}

tensor resnet_block(model_ref m, tensor x, tensor emb, int64_t channels, const resnet_options & o) {
    tensor h = silu(m, group_norm(m["norm1"], x, o.norm));
    h = conv2d(m["conv1"], resampled(m, h, o.resample), channels);
    x = resampled(m, x, o.resample);
    tensor modulation = nullptr;
    if (emb) {
        const full_precision scope(m.g());
        emb = linear(m["time_emb_proj"], emb, o.scale_shift ? 2 * channels : channels);
    }
    if (o.scale_shift) {
        modulation = emb;
    } else if (emb) {
        h = add_to_channels(m, h, emb);
    }
    h = silu(m, group_norm(m["norm2"], h, o.norm, modulation));
    h = conv2d(m["conv2"], h, channels);
    if (dims_of_map(m, x).channels != channels) x = conv1x1(m["conv_shortcut"], x, channels);
    return named_map(m, divided(m, add(m, h, x), o.output_scale));
}

tensor attention_block(model_ref m, tensor x, const attention_block_options & o) {
    map_dims d = dims_of_map(m, x);
    tensor h = sequence_from_map(m, o.norm.groups ? group_norm(m["group_norm"], x, o.norm) : x);
    auto [q, k, v] = project_qkv(m, h, h, d.channels, {"to_q", "to_k", "to_v"});
    h = linear(m["to_out"][0], attention(m, q, k, v, o.heads), d.channels);
    h = add(m, map_from_sequence(m, h, d.height, d.width), x);
    return named_map(m, divided(m, h, o.output_scale));
}

tensor upsample(model_ref m, tensor x, int64_t height, int64_t width) {
    int64_t channels = dims_of_map(m, x).channels;
    return named_map(m, conv2d(m["conv"], upsample_nearest(m, x, height, width), channels));
}

tensor convolution_in(model_ref m, tensor x, int64_t channels) {
    const full_precision scope(m.g());
    return named_map(m["conv_in"], conv2d(m["conv_in"], x, channels));
}

tensor convolution_out(model_ref m, tensor x, int64_t channels, group_norm_options norm) {
    const full_precision scope(m.g());
    x = silu(m, group_norm(m["conv_norm_out"], x, norm));
    return named_map(m["conv_out"], conv2d(m["conv_out"], x, channels));
}

}  // namespace safelight
