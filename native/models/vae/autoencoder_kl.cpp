#include "models/vae/autoencoder_kl.h"

#include "models/checks.h"
#include "nn/conv.h"
#include "nn/layout.h"

namespace safelight {
namespace {

using params = autoencoder_kl_params;

void build_encode(model_ref m, const shape & dims, const params & p) {
    tensor x = map_input(m, "image", dims);
    x = encoder(m["encoder"], x, p.codec);
    if (p.quant_conv) x = latent_projection(m["quant_conv"], x, 2 * p.latent_channels);
    map_output(m, "moments", x);
}

void build_decode(model_ref m, const shape & dims, const params & p) {
    tensor x = map_input(m, "latent", dims);
    if (p.post_quant_conv) x = latent_projection(m["post_quant_conv"], x, p.codec.z_channels);
    map_output(m, "image", decoder(m["decoder"], x, p.codec));
}

const shape & check_decode(const input_shapes & inputs, const params & p) {
    require_inputs(inputs, {"latent"});
    const shape & dims =
        input_shape(inputs, "latent", {"B", "C", "H", "W"}, {any, p.latent_channels, any, any});
    require_decodable(dims[0], dims[2], dims[3], p.codec);
    return dims;
}

class autoencoder_kl : public architecture {
  public:
    explicit autoencoder_kl(const params & p) : p_(p) {}

    std::vector<std::string> entries() const override { return {"encode", "decode"}; }

    void build(graph & g, const std::string & entry, const input_shapes & inputs,
               const config &) const override {
        if (entry == "encode") return build_encode(model_ref(g), check_image(inputs, p_.codec), p_);
        if (entry == "decode") return build_decode(model_ref(g), check_decode(inputs, p_), p_);
        throw_unknown_entry(entry);
    }

    void build_all(graph & g) const override {
        int64_t downsample_factor = codec_downsample_factor(p_.codec);
        build(g, "encode", {{"image", {1, p_.codec.in_channels, downsample_factor, downsample_factor}}}, {});
        build(g, "decode", {{"latent", {1, p_.latent_channels, 1, 1}}}, {});
    }

  private:
    params p_;
};

}  // namespace

autoencoder_kl_params read_autoencoder_kl_params(const config & cfg) {
    params p{};
    p.codec = read_codec_params(cfg);
    p.latent_channels = config_integer(cfg, "latent_channels", 1, 1 << 12);
    p.quant_conv = cfg.boolean("use_quant_conv");
    p.post_quant_conv = cfg.boolean("use_post_quant_conv");
    // Latents may have another number of channels than the codec's inner ones (CompVis' embed_dim,
    // z_channels).
    p.codec.z_channels =
        cfg.has("z_channels") ? config_integer(cfg, "z_channels", 1, 1 << 12) : p.latent_channels;
    p.codec.encoded_channels = 2 * p.codec.z_channels;
    if (p.codec.z_channels != p.latent_channels && !(p.quant_conv && p.post_quant_conv)) {
        throw error("UNSUPPORTED_MODEL",
                    "Expected latent_channels to equal z_channels in the model's config, because it has no "
                    "quant_conv or post_quant_conv");
    }
    return p;
}

std::unique_ptr<architecture> make_autoencoder_kl(const config & cfg) {
    return std::make_unique<autoencoder_kl>(read_autoencoder_kl_params(cfg));
}

}  // namespace safelight
