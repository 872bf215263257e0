#include "models/blocks.h"

#include "nn/activation.h"
#include "nn/conv.h"
#include "nn/layout.h"
#include "nn/linear.h"
#include "nn/resample.h"

namespace safelight {

tensor resnet_block(model_ref m, tensor x, tensor emb, int64_t channels, group_norm_options norm) {
    tensor h = silu(m, group_norm(m["norm1"], x, norm));
    h = conv2d(m["conv1"], h, channels);
    if (emb) h = add_to_channels(m, h, linear(m["time_emb_proj"], emb, channels));
    h = silu(m, group_norm(m["norm2"], h, norm));
    h = conv2d(m["conv2"], h, channels);
    if (dims_of_map(m, x).channels != channels) x = conv1x1(m["conv_shortcut"], x, channels);
    return named_map(m, add(m, h, x));
}

tensor upsample(model_ref m, tensor x, int64_t height, int64_t width) {
    int64_t channels = dims_of_map(m, x).channels;
    return named_map(m, conv2d(m["conv"], upsample_nearest(m, x, height, width), channels));
}

tensor convolution_out(model_ref m, tensor x, int64_t channels, group_norm_options norm) {
    x = silu(m, group_norm(m["conv_norm_out"], x, norm));
    return named_map(m["conv_out"], conv2d(m["conv_out"], x, channels));
}

}  // namespace safelight
