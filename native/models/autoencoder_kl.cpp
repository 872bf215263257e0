#include "models/autoencoder_kl.h"

#include <algorithm>

#include "models/blocks.h"
#include "models/checks.h"
#include "nn/attention.h"
#include "nn/conv.h"
#include "nn/layout.h"
#include "nn/linear.h"
#include "nn/resample.h"

namespace safelight {
namespace {

using params = autoencoder_kl_params;

// Every pixel of the map attends to every other, in one head as wide as the map.
tensor map_attention(model_ref m, tensor x, group_norm_options norm) {
    map_dims d = dims_of_map(m, x);
    tensor h = sequence_from_map(m, group_norm(m["group_norm"], x, norm));
    tensor q = named_sequence(m["to_q"], linear(m["to_q"], h, d.channels));
    tensor k = named_sequence(m["to_k"], linear(m["to_k"], h, d.channels));
    tensor v = named_sequence(m["to_v"], linear(m["to_v"], h, d.channels));
    h = linear(m["to_out"][0], attention(m, q, k, v, 1), d.channels);
    return named_map(m, add(m, map_from_sequence(m, h, d.height, d.width), x));
}

tensor mid_block(model_ref m, tensor x, const params & p) {
    int64_t channels = p.channels.back();
    x = resnet_block(m["resnets"][0], x, nullptr, channels, p.norm);
    if (p.mid_attention) x = map_attention(m["attentions"][0], x, p.norm);
    return named_map(m, resnet_block(m["resnets"][1], x, nullptr, channels, p.norm));
}

// Halves the map: a row and a column of zeros after it, then every second position of a 3x3 convolution.
tensor downsample(model_ref m, tensor x) {
    x = conv2d(m["conv"], pad_bottom_right(m, x), dims_of_map(m, x).channels,
               {.kernel = 3, .stride = 2, .padding = 0});
    return named_map(m, x);
}

// [B, 3, H, W] -> [B, 2·Cz, h, w]
tensor encoder(model_ref m, tensor x, const params & p) {
    x = named_map(m["conv_in"], conv2d(m["conv_in"], x, p.channels.front()));
    for (size_t i = 0; i < p.channels.size(); ++i) {
        model_ref block = m["down_blocks"][static_cast<int64_t>(i)];
        for (int64_t j = 0; j < p.layers; ++j) {
            x = resnet_block(block["resnets"][j], x, nullptr, p.channels[i], p.norm);
        }
        if (i + 1 < p.channels.size()) x = downsample(block["downsamplers"][0], x);
        x = named_map(block, x);
    }
    x = mid_block(m["mid_block"], x, p);
    return convolution_out(m, x, 2 * p.latent_channels, p.norm);
}

// [B, Cz, h, w] -> [B, 3, H, W]
tensor decoder(model_ref m, tensor x, const params & p) {
    x = named_map(m["conv_in"], conv2d(m["conv_in"], x, p.channels.back()));
    x = mid_block(m["mid_block"], x, p);
    for (size_t i = 0; i < p.channels.size(); ++i) {
        model_ref block = m["up_blocks"][static_cast<int64_t>(i)];
        for (int64_t j = 0; j < p.layers + 1; ++j) {
            x = resnet_block(block["resnets"][j], x, nullptr, p.channels[p.channels.size() - 1 - i], p.norm);
        }
        map_dims d = dims_of_map(m, x);
        if (i + 1 < p.channels.size()) x = upsample(block["upsamplers"][0], x, 2 * d.height, 2 * d.width);
        x = named_map(block, x);
    }
    return convolution_out(m, x, p.out_channels, p.norm);
}

void build_encode(model_ref m, const shape & dims, const params & p) {
    tensor x = map_input(m, "image", dims);
    x = encoder(m["encoder"], x, p);
    if (p.quant_conv) x = named_map(m["quant_conv"], conv1x1(m["quant_conv"], x, 2 * p.latent_channels));
    map_output(m, "moments", x);
}

void build_decode(model_ref m, const shape & dims, const params & p) {
    tensor x = map_input(m, "latent", dims);
    if (p.post_quant_conv) {
        x = named_map(m["post_quant_conv"], conv1x1(m["post_quant_conv"], x, p.latent_channels));
    }
    x = decoder(m["decoder"], x, p);
    map_output(m, "image", x);
}

// Pixels of a picture for one of the latent, on a side.
int64_t factor(const params & p) {
    return int64_t(1) << (p.channels.size() - 1);
}

const shape & check_encode(const input_shapes & inputs, const params & p) {
    require_inputs(inputs, {"image"});
    const shape & dims = input_shape(inputs, "image", {"B", "C", "H", "W"}, {any, p.in_channels, any, any});
    if (dims[2] < factor(p) || dims[3] < factor(p)) {
        throw error("SHAPE_MISMATCH", "Expected a picture of at least " + std::to_string(factor(p)) + "x" +
                                          std::to_string(factor(p)) + " pixels but received " +
                                          std::to_string(dims[3]) + "x" + std::to_string(dims[2]));
    }
    for (size_t i = 0; i < p.channels.size(); ++i) {
        require_countable({dims[0], p.channels[i], (dims[2] >> i) + 1, (dims[3] >> i) + 1});
    }
    return dims;
}

const shape & check_decode(const input_shapes & inputs, const params & p) {
    require_inputs(inputs, {"latent"});
    const shape & dims =
        input_shape(inputs, "latent", {"B", "C", "H", "W"}, {any, p.latent_channels, any, any});
    for (size_t i = 0; i < p.channels.size(); ++i) {
        int64_t scale = factor(p) >> i;
        // A level begins with what the coarser one upsampled, with that one's channels.
        int64_t widest = std::max(p.channels[i], p.channels[std::min(i + 1, p.channels.size() - 1)]);
        require_countable({dims[0], widest, dims[2] * scale, dims[3] * scale});
    }
    return dims;
}

class autoencoder_kl : public architecture {
  public:
    explicit autoencoder_kl(const params & p) : p_(p) {}

    std::vector<std::string> entries() const override { return {"encode", "decode"}; }

    void build(graph & g, const std::string & entry, const input_shapes & inputs,
               const config &) const override {
        if (entry == "encode") return build_encode(model_ref(g), check_encode(inputs, p_), p_);
        if (entry == "decode") return build_decode(model_ref(g), check_decode(inputs, p_), p_);
        unknown_entry(entry);
    }

    void build_all(graph & g) const override {
        build(g, "encode", {{"image", {1, p_.in_channels, factor(p_), factor(p_)}}}, {});
        build(g, "decode", {{"latent", {1, p_.latent_channels, 1, 1}}}, {});
    }

  private:
    params p_;
};

}  // namespace

autoencoder_kl_params read_autoencoder_kl_params(const config & cfg) {
    params p{};
    size_t levels = cfg.integers("block_out_channels").size();
    if (levels < 1 || levels > 12) {
        throw error("UNSUPPORTED_MODEL",
                    "Expected 1 to 12 levels in block_out_channels but found " + std::to_string(levels));
    }
    p.channels = config_integers(cfg, "block_out_channels", levels, 1, 1 << 14);
    p.in_channels = config_integer(cfg, "in_channels", 1, 1 << 12);
    p.out_channels = config_integer(cfg, "out_channels", 1, 1 << 12);
    p.latent_channels = config_integer(cfg, "latent_channels", 1, 1 << 12);
    p.layers = config_integer(cfg, "layers_per_block", 1, 16);
    p.norm.groups = config_integer(cfg, "norm_num_groups", 1, 1 << 14);
    p.norm.eps = static_cast<float>(config_number(cfg, "norm_eps", 0, 1));
    p.mid_attention = cfg.boolean("mid_attention");
    p.quant_conv = cfg.boolean("use_quant_conv");
    p.post_quant_conv = cfg.boolean("use_post_quant_conv");
    for (int64_t c : p.channels) require_divides(p.norm.groups, "norm_num_groups", c, "block_out_channels");
    return p;
}

std::unique_ptr<architecture> make_autoencoder_kl(const config & cfg) {
    return std::make_unique<autoencoder_kl>(read_autoencoder_kl_params(cfg));
}

}  // namespace safelight
