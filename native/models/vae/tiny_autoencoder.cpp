#include "models/vae/tiny_autoencoder.h"

#include "models/checks.h"
#include "nn/activation.h"
#include "nn/conv.h"
#include "nn/layout.h"
#include "nn/linear.h"
#include "nn/norm.h"
#include "nn/resample.h"

namespace safelight {
namespace {

constexpr float latent_bound = 3;
constexpr group_norm_options pool_norm = {.groups = 4, .eps = 1e-5f};
constexpr size_t most_layers = 256;
constexpr int64_t most_channels = 1 << 14;

enum class op { conv, block, relu, upsample };

// A layer of a sequence. Fields beyond `kind` belong to convolutions and blocks.
struct layer {
    op kind = op::relu;
    int64_t out = 0;
    int stride = 1;             // of a convolution
    bool bias = false;          // of a convolution
    int64_t pool_channels = 0;  // inner channels of a block's normalized branch; 0 for a block without one
};
using sequence = std::vector<layer>;

struct params {
    int64_t in_channels, out_channels, latent_channels;
    sequence encoder, decoder;  // empty if absent
};

tensor conv1x1_without_bias(model_ref m, tensor x, int64_t out) {
    map_dims d = dims_of_map(m, x);
    return map_from_sequence(m, linear_without_bias(m, sequence_from_map(m, x), out), d.height, d.width);
}

// x + W2·relu(norm(W1·x)) with 1x1 convolutions, which sees the whole map (TAEF2).
tensor pooled(model_ref m, tensor x, int64_t inner) {
    tensor h = conv1x1_without_bias(m["0"], x, inner);
    h = relu(m, group_norm(m["1"], h, pool_norm));
    return add(m, conv1x1_without_bias(m["3"], h, dims_of_map(m, x).channels), x);
}

// Three convolutions around a skip connection.
tensor block(model_ref m, tensor x, const layer & l) {
    if (l.pool_channels > 0) x = pooled(m["pool"], x, l.pool_channels);
    bool widens = dims_of_map(m, x).channels != l.out;
    tensor skip = widens ? named_map(m["skip"], conv1x1_without_bias(m["skip"], x, l.out)) : x;
    model_ref conv = m["conv"];
    tensor h = relu(m, named_map(conv[0], conv2d(conv[0], x, l.out)));
    h = relu(m, named_map(conv[2], conv2d(conv[2], h, l.out)));
    h = named_map(conv[4], conv2d(conv[4], h, l.out));
    return relu(m, add(m, h, skip));
}

tensor apply(model_ref m, tensor x, const layer & l) {
    map_dims d = dims_of_map(m, x);
    switch (l.kind) {
        case op::conv:
            return conv2d(m, x, l.out, {.kernel = 3, .stride = l.stride, .padding = 1, .bias = l.bias});
        case op::block:
            return block(m, x, l);
        case op::upsample:
            return upsample_nearest(m, x, 2 * d.height, 2 * d.width);
        default:
            return relu(m, x);
    }
}

tensor apply(model_ref m, tensor x, const sequence & layers) {
    for (size_t i = 0; i < layers.size(); ++i) {
        model_ref at = m[static_cast<int64_t>(i)];
        x = named_map(at, apply(at, x, layers[i]));
    }
    return x;
}

void build_encode(model_ref m, const shape & dims, const params & p) {
    tensor x = map_input(m, "image", dims);
    x = ggml_scale_bias(m.ctx(), x, 0.5f, 0.5f);  // to [0, 1]
    map_output(m, "latent", apply(m["encoder"]["layers"], x, p.encoder));
}

void build_decode(model_ref m, const shape & dims, const params & p) {
    tensor x = map_input(m, "latent", dims);
    x = ggml_tanh(m.ctx(), ggml_scale(m.ctx(), x, 1 / latent_bound));
    x = apply(m["decoder"]["layers"], ggml_scale(m.ctx(), x, latent_bound), p.decoder);
    map_output(m, "image", ggml_scale_bias(m.ctx(), x, 2, -1));
}

// Throws INVALID_OPTION if a map of the sequence would have 2^31 or more elements.
void require_countable_maps(const shape & dims, const sequence & layers) {
    int64_t channels = dims[1], height = dims[2], width = dims[3];
    require_countable(dims);
    for (const layer & l : layers) {
        if (l.kind == op::upsample) {
            height *= 2;
            width *= 2;
        } else if (l.kind == op::conv || l.kind == op::block) {
            channels = l.out;
            height = (height - 1) / l.stride + 1;
            width = (width - 1) / l.stride + 1;
        }
        require_countable({dims[0], channels, height, width});
        if (l.pool_channels > 0) require_countable({dims[0], l.pool_channels, height, width});
    }
}

const shape & check_input(const input_shapes & inputs, const char * name, int64_t channels,
                          const sequence & layers) {
    require_inputs(inputs, {name});
    const shape & dims = input_shape(inputs, name, {"B", "C", "H", "W"}, {any, channels, any, any});
    require_countable_maps(dims, layers);
    return dims;
}

class tiny_autoencoder : public architecture {
  public:
    explicit tiny_autoencoder(params p) : p_(std::move(p)) {}

    std::vector<std::string> entries() const override {
        std::vector<std::string> names;
        if (!p_.encoder.empty()) names.push_back("encode");
        if (!p_.decoder.empty()) names.push_back("decode");
        return names;
    }

    void build(graph & g, const std::string & entry, const input_shapes & inputs,
               const config &) const override {
        model_ref m(g);
        if (entry == "encode" && !p_.encoder.empty()) {
            return build_encode(m, check_input(inputs, "image", p_.in_channels, p_.encoder), p_);
        }
        if (entry == "decode" && !p_.decoder.empty()) {
            return build_decode(m, check_input(inputs, "latent", p_.latent_channels, p_.decoder), p_);
        }
        throw_unknown_entry(entry);
    }

    void build_all(graph & g) const override {
        if (!p_.encoder.empty()) build(g, "encode", {{"image", {1, p_.in_channels, 8, 8}}}, {});
        if (!p_.decoder.empty()) build(g, "decode", {{"latent", {1, p_.latent_channels, 1, 1}}}, {});
    }

  private:
    params p_;
};

layer read_layer(const config & cfg) {
    const std::string & kind = cfg.text("op");
    if (kind == "relu") return {.kind = op::relu};
    if (kind == "upsample") return {.kind = op::upsample};
    layer l{};
    l.out = config_integer(cfg, "out", 1, most_channels);
    if (kind == "conv") {
        l.kind = op::conv;
        l.stride = static_cast<int>(config_integer(cfg, "stride", 1, 2));
        l.bias = cfg.boolean("bias");
    } else if (kind == "block") {
        l.kind = op::block;
        l.pool_channels = config_integer(cfg, "pool_channels", 0, most_channels);
        require_divides(pool_norm.groups, "the number of norm groups", l.pool_channels, "pool_channels");
    } else {
        throw error("UNSUPPORTED_MODEL",
                    "Expected conv, block, relu or upsample for op in the model's config but found " + kind);
    }
    return l;
}

// Reads the layers of a half, empty if it is absent. The last one must have `channels` outputs.
sequence read_sequence(const config & cfg, const char * half, int64_t channels) {
    if (!cfg.has(half)) return {};
    const auto * list = std::get_if<config::array>(&cfg.at(half).raw());
    if (!list || list->empty() || list->size() > most_layers) {
        throw error("UNSUPPORTED_MODEL", "Expected a list of 1 to " + std::to_string(most_layers) +
                                             " layers for " + half + " in the model's config");
    }
    sequence layers;
    for (const config & one : *list) layers.push_back(read_layer(one));
    if (layers.back().kind != op::conv || layers.back().out != channels) {
        throw error("UNSUPPORTED_MODEL", "Expected the last layer of the " + std::string(half) +
                                             " in the model's config to be a convolution with " +
                                             std::to_string(channels) + " outputs");
    }
    return layers;
}

}  // namespace

std::unique_ptr<architecture> make_tiny_autoencoder(const config & cfg) {
    params p{};
    p.in_channels = config_integer(cfg, "in_channels", 1, 1 << 12);
    p.out_channels = config_integer(cfg, "out_channels", 1, 1 << 12);
    p.latent_channels = config_integer(cfg, "latent_channels", 1, 1 << 12);
    p.encoder = read_sequence(cfg, "encoder", p.latent_channels);
    p.decoder = read_sequence(cfg, "decoder", p.out_channels);
    if (p.encoder.empty() && p.decoder.empty()) {
        throw error("UNSUPPORTED_MODEL", "Expected an encoder or a decoder in the model's config");
    }
    return std::make_unique<tiny_autoencoder>(std::move(p));
}

}  // namespace safelight
