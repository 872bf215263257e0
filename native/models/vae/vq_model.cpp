#include "models/vae/vq_model.h"

#include "models/checks.h"
#include "nn/codebook.h"
#include "nn/conv.h"
#include "nn/layout.h"

namespace safelight {
namespace {

using params = vq_model_params;

model_ref codebook(model_ref m, const params & p) {
    return m["quantize"][p.gumbel ? "embed" : "embedding"];
}

// Returns the codebook vectors of i32 indices, one per pixel: [B, E, h, w].
tensor vectors(model_ref m, tensor indices, const map_dims & d, const params & p) {
    tensor rows = code_vectors(codebook(m, p), indices, p.codes, p.embed_dim, d.batch);
    return named_map(m["quantize"], map_from_sequence(m, rows, d.height, d.width));
}

struct choice {
    tensor indices;
    tensor logits;  // [B, N, h, w] before masking; null unless the quantizer is Gumbel
};

choice choose(model_ref m, tensor x, bool masked, const params & p) {
    if (!p.gumbel) return {nearest_codes(codebook(m, p), sequence_from_map(m, x), p.codes), nullptr};
    tensor logits = latent_projection(m["quantize"]["proj"], x, p.codes);
    tensor rows = sequence_from_map(m, logits);
    if (masked) rows = ggml_add(m.ctx(), rows, m.g().input("mask", GGML_TYPE_F32, {p.codes}));
    return {argmax(m, rows), logits};
}

void build_encode(model_ref m, const shape & dims, const params & p) {
    tensor x = encoder(m["encoder"], map_input(m, "image", dims), p.codec);
    map_output(m, "latent", latent_projection(m["quant_conv"], x, p.embed_dim));
}

void build_quantize(model_ref m, const shape & dims, bool masked, const config & run_params,
                    const params & p) {
    tensor x = map_input(m, "latent", dims);
    map_dims d = dims_of_map(m, x);
    choice c = choose(m, x, masked, p);
    tensor q = vectors(m, c.indices, d, p);
    map_output(m, "quantized", q);
    m.g().output("indices", c.indices, {d.batch, d.height, d.width});
    if (p.gumbel) {
        if (run_params.boolean("logits", false)) map_output(m, "logits", c.logits);
        return;
    }
    tensor from = sequence_from_map(m, x);
    m.g().output("distance", squared_distances(m, from, sequence_from_map(m, q)),
                 {d.batch, d.height, d.width});
    if (run_params.boolean("distances", false)) {
        m.g().output("distances", code_distances(codebook(m, p), from, p.codes),
                     {d.batch, d.height, d.width, p.codes});
    }
}

tensor indices_input(model_ref m, const shape & dims, const params & p) {
    m.g().limit("indices", 0, p.codes - 1);
    return m.g().input("indices", GGML_TYPE_I32, dims);
}

void build_lookup(model_ref m, const shape & dims, const params & p) {
    tensor indices = indices_input(m, dims, p);
    map_output(m, "quantized", vectors(m, indices, {dims[0], p.embed_dim, dims[1], dims[2]}, p));
}

void build_decode(model_ref m, tensor x, const params & p) {
    x = latent_projection(m["post_quant_conv"], x, p.codec.z_channels);
    map_output(m, "image", decoder(m["decoder"], x, p.codec));
}

void build_decode_indices(model_ref m, const shape & dims, const params & p) {
    tensor indices = indices_input(m, dims, p);
    build_decode(m, vectors(m, indices, {dims[0], p.embed_dim, dims[1], dims[2]}, p), p);
}

void build_decode_latent(model_ref m, const shape & dims, bool quantizes, bool masked, const params & p) {
    tensor x = map_input(m, "latent", dims);
    if (quantizes) x = vectors(m, choose(m, x, masked, p).indices, dims_of_map(m, x), p);
    build_decode(m, x, p);
}

const shape & check_latent(const input_shapes & inputs, bool maskable, const params & p) {
    if (maskable && p.gumbel) {
        require_inputs(inputs, {"latent"}, {"mask"});
        if (inputs.count("mask")) input_shape(inputs, "mask", {"N"}, {p.codes});
    } else {
        require_inputs(inputs, {"latent"});
    }
    const shape & dims = input_shape(inputs, "latent", {"B", "E", "h", "w"}, {any, p.embed_dim, any, any});
    require_countable({dims[0], dims[2], dims[3], maskable && p.gumbel ? p.codes : 1});
    return dims;
}

const shape & check_indices(const input_shapes & inputs, const params & p) {
    require_inputs(inputs, {"indices"});
    const shape & dims = input_shape(inputs, "indices", {"B", "h", "w"}, {any, any, any});
    require_countable({dims[0], dims[1], dims[2], p.embed_dim});
    return dims;
}

class vq_model : public architecture {
  public:
    explicit vq_model(const params & p) : p_(p) {}

    std::vector<std::string> entries() const override { return {"encode", "quantize", "lookup", "decode"}; }

    void build(graph & g, const std::string & entry, const input_shapes & inputs,
               const config & run_params) const override {
        model_ref m(g);
        if (entry == "encode") return build_encode(m, check_image(inputs, p_.codec), p_);
        if (entry == "quantize") return quantize(m, inputs, run_params);
        if (entry == "lookup") return build_lookup(m, check_indices(inputs, p_), p_);
        if (entry == "decode") return decode(m, inputs, run_params.boolean("quantize", false));
        throw_unknown_entry(entry);
    }

    void build_all(graph & g) const override {
        int64_t downsample_factor = codec_downsample_factor(p_.codec);
        build(g, "encode", {{"image", {1, p_.codec.in_channels, downsample_factor, downsample_factor}}}, {});
        build(g, "quantize", {{"latent", {1, p_.embed_dim, 1, 1}}}, {});
        build(g, "decode", {{"indices", {1, 1, 1}}}, {});
    }

  private:
    void quantize(model_ref m, const input_shapes & inputs, const config & run_params) const {
        const shape & dims = check_latent(inputs, true, p_);
        if (run_params.boolean("distances", false)) require_countable({dims[0], dims[2], dims[3], p_.codes});
        build_quantize(m, dims, inputs.count("mask") > 0, run_params, p_);
    }

    void decode(model_ref m, const input_shapes & inputs, bool quantizes) const {
        if (inputs.count("indices")) {
            const shape & dims = check_indices(inputs, p_);
            require_decodable(dims[0], dims[1], dims[2], p_.codec);
            return build_decode_indices(m, dims, p_);
        }
        const shape & dims = check_latent(inputs, quantizes, p_);
        require_decodable(dims[0], dims[2], dims[3], p_.codec);
        build_decode_latent(m, dims, quantizes, inputs.count("mask") > 0, p_);
    }

    params p_;
};

}  // namespace

std::unique_ptr<architecture> make_vq_model(const config & cfg) {
    params p{};
    p.codec = read_codec_params(cfg);
    p.codec.z_channels = p.codec.encoded_channels = config_integer(cfg, "z_channels", 1, 1 << 12);
    p.embed_dim = config_integer(cfg, "vq_embed_dim", 1, 1 << 14);
    p.codes = config_integer(cfg, "num_vq_embeddings", 1, 1 << 22);
    p.gumbel = cfg.text("quantizer") == "gumbel";
    if (!p.gumbel && cfg.text("quantizer") != "nearest") {
        throw error("UNSUPPORTED_MODEL",
                    "Expected nearest or gumbel for quantizer in the model's config but found " +
                        cfg.text("quantizer"));
    }
    return std::make_unique<vq_model>(p);
}

}  // namespace safelight
