#include "models/vae/codec.h"

#include <algorithm>

#include "models/blocks.h"
#include "nn/conv.h"
#include "nn/layout.h"
#include "nn/resample.h"

namespace safelight {
namespace {

// Residual blocks with the same number of channels, each followed by single-head attention if `attends`.
tensor level(model_ref m, tensor x, int64_t blocks, int64_t channels, bool attends, group_norm_options norm) {
    for (int64_t j = 0; j < blocks; ++j) {
        x = resnet_block(m["resnets"][j], x, nullptr, channels, norm);
        if (attends) x = attention_block(m["attentions"][j], x, {.heads = 1, .norm = norm});
    }
    return x;
}

tensor mid_block(model_ref m, tensor x, const codec_params & p) {
    int64_t channels = p.channels.back();
    x = resnet_block(m["resnets"][0], x, nullptr, channels, p.norm);
    if (p.mid_attention) x = attention_block(m["attentions"][0], x, {.heads = 1, .norm = p.norm});
    return named_map(m, resnet_block(m["resnets"][1], x, nullptr, channels, p.norm));
}

// Halves the map: pads a row and a column of zeros at the bottom and right, then a 3x3 convolution of
// stride 2.
tensor downsample(model_ref m, tensor x) {
    x = conv2d(m["conv"], pad_bottom_right(m, x), dims_of_map(m, x).channels,
               {.kernel = 3, .stride = 2, .padding = 0});
    return named_map(m, x);
}

// Returns one value per level, all false if the field is absent.
std::vector<bool> attention_levels(const config & cfg, const char * key, size_t levels) {
    return cfg.has(key) ? config_booleans(cfg, key, levels) : std::vector<bool>(levels, false);
}

}  // namespace

codec_params read_codec_params(const config & cfg) {
    codec_params p{};
    size_t levels = cfg.integers("block_out_channels").size();
    if (levels < 1 || levels > 12) {
        throw error("UNSUPPORTED_MODEL",
                    "Expected 1 to 12 levels in block_out_channels in the model's config but found " +
                        std::to_string(levels));
    }
    p.channels = config_integers(cfg, "block_out_channels", levels, 1, 1 << 14);
    p.in_channels = config_integer(cfg, "in_channels", 1, 1 << 12);
    p.out_channels = config_integer(cfg, "out_channels", 1, 1 << 12);
    p.layers = config_integer(cfg, "layers_per_block", 1, 16);
    p.norm.groups = config_integer(cfg, "norm_num_groups", 1, 1 << 14);
    p.norm.eps = static_cast<float>(config_number(cfg, "norm_eps", 0, 1));
    p.mid_attention = cfg.boolean("mid_attention");
    p.down_attention = attention_levels(cfg, "down_attention", levels);
    p.up_attention = attention_levels(cfg, "up_attention", levels);
    for (int64_t c : p.channels) require_divides(p.norm.groups, "norm_num_groups", c, "block_out_channels");
    return p;
}

int64_t codec_downsample_factor(const codec_params & p) {
    return int64_t(1) << (p.channels.size() - 1);
}

tensor encoder(model_ref m, tensor x, const codec_params & p) {
    x = convolution_in(m, x, p.channels.front());
    for (size_t i = 0; i < p.channels.size(); ++i) {
        model_ref block = m["down_blocks"][static_cast<int64_t>(i)];
        x = level(block, x, p.layers, p.channels[i], p.down_attention[i], p.norm);
        if (i + 1 < p.channels.size()) x = downsample(block["downsamplers"][0], x);
        x = named_map(block, x);
    }
    x = mid_block(m["mid_block"], x, p);
    return convolution_out(m, x, p.encoded_channels, p.norm);
}

tensor decoder(model_ref m, tensor x, const codec_params & p) {
    x = convolution_in(m, x, p.channels.back());
    x = mid_block(m["mid_block"], x, p);
    for (size_t i = 0; i < p.channels.size(); ++i) {
        model_ref block = m["up_blocks"][static_cast<int64_t>(i)];
        int64_t channels = p.channels[p.channels.size() - 1 - i];
        x = level(block, x, p.layers + 1, channels, p.up_attention[i], p.norm);
        map_dims d = dims_of_map(m, x);
        if (i + 1 < p.channels.size()) x = upsample(block["upsamplers"][0], x, 2 * d.height, 2 * d.width);
        x = named_map(block, x);
    }
    return convolution_out(m, x, p.out_channels, p.norm);
}

tensor latent_projection(model_ref m, tensor x, int64_t channels) {
    const full_precision scope(m.g());
    return named_map(m, conv1x1(m, x, channels));
}

const shape & check_image(const input_shapes & inputs, const codec_params & p) {
    require_inputs(inputs, {"image"});
    const shape & dims = input_shape(inputs, "image", {"B", "C", "H", "W"}, {any, p.in_channels, any, any});
    int64_t downsample_factor = codec_downsample_factor(p);
    if (dims[2] < downsample_factor || dims[3] < downsample_factor) {
        throw error("SHAPE_MISMATCH", "Expected an image of at least " + std::to_string(downsample_factor) +
                                          "x" + std::to_string(downsample_factor) + " pixels but received " +
                                          std::to_string(dims[3]) + "x" + std::to_string(dims[2]));
    }
    for (size_t i = 0; i < p.channels.size(); ++i) {
        require_countable({dims[0], p.channels[i], (dims[2] >> i) + 1, (dims[3] >> i) + 1});
    }
    return dims;
}

void require_decodable(int64_t batch, int64_t height, int64_t width, const codec_params & p) {
    for (size_t i = 0; i < p.channels.size(); ++i) {
        int64_t scale = codec_downsample_factor(p) >> i;
        // A level begins with the upsampled map of the coarser level, which has that level's channels.
        int64_t widest = std::max(p.channels[i], p.channels[std::min(i + 1, p.channels.size() - 1)]);
        require_countable({batch, widest, height * scale, width * scale});
    }
}

}  // namespace safelight
