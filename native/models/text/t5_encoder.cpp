#include "models/text/t5_encoder.h"

#include <algorithm>

#include "models/checks.h"
#include "nn/activation.h"
#include "nn/attention/attention.h"
#include "nn/attention/qkv.h"
#include "nn/embedding.h"
#include "nn/layout.h"
#include "nn/linear.h"
#include "nn/norm.h"

namespace safelight {
namespace {

using params = t5_encoder_params;

// Terms added to the attention scores, the same in every layer.
struct score_terms {
    tensor bias;      // [heads, T, T]
    tensor key_mask;  // [B, 1, 1, T], or null
};

tensor normed(model_ref m, tensor x, const params & p) {
    return named_sequence(m, rms_norm(m, x, p.eps));
}

// [B, T, C] -> [B, T, C]. Heads may be wider than C / heads.
tensor self_attention(model_ref m, tensor x, const score_terms & terms, const params & p) {
    const int64_t inner = p.bias.heads * p.head_width;
    auto [q, k, v] = project_qkv(m, x, x, inner, {"q", "k", "v", /*bias*/ false});
    tensor y = biased_attention(m, q, k, v, p.bias.heads, terms.bias, terms.key_mask);
    return named_sequence(m, linear_without_bias(m["o"], y, p.width));
}

// GEGLU with a separate gate matrix: gelu(x·W0)·(x·W1), then a projection back to the width of x.
tensor feed_forward(model_ref m, tensor x, const params & p) {
    tensor gate = named_sequence(m["wi_0"], linear_without_bias(m["wi_0"], x, p.hidden));
    tensor inner = named_sequence(m["wi_1"], linear_without_bias(m["wi_1"], x, p.hidden));
    return named_sequence(
        m, linear_without_bias(m["wo"], ggml_mul(m.ctx(), gelu_tanh(m, gate), inner), p.width));
}

tensor encoder_block(model_ref m, tensor x, const score_terms & terms, const params & p) {
    model_ref attention_layer = m["layer"][0], feed_forward_layer = m["layer"][1];
    tensor h = normed(attention_layer["layer_norm"], x, p);
    x = named_sequence(attention_layer,
                       add(m, x, self_attention(attention_layer["SelfAttention"], h, terms, p)));
    h = normed(feed_forward_layer["layer_norm"], x, p);
    return named_sequence(feed_forward_layer,
                          add(m, x, feed_forward(feed_forward_layer["DenseReluDense"], h, p)));
}

class t5_encoder : public architecture {
  public:
    explicit t5_encoder(const params & p) : p_(p) {}

    std::vector<std::string> entries() const override { return {"encode"}; }

    void build(graph & g, const std::string & entry, const input_shapes & inputs,
               const config & run_params) const override {
        if (entry != "encode") throw_unknown_entry(entry);
        const shape & dims = check_inputs(inputs);
        int64_t layers = run_params.integer("layer", p_.layers);
        if (layers < 0 || layers > p_.layers) {
            throw error("INVALID_OPTION", "Expected integer between 0 and " + std::to_string(p_.layers) +
                                              " for layer but received " + std::to_string(layers));
        }
        model_ref m(g), tower = m["encoder"];
        tensor x = named_sequence(m["shared"],
                                  token_embedding(m["shared"], "tokens", dims, p_.vocabulary, p_.width));
        model_ref first = tower["block"][0]["layer"][0]["SelfAttention"]["relative_attention_bias"];
        score_terms terms{layers > 0 ? relative_bias(first, dims[1], p_.bias) : nullptr,
                          inputs.count("mask") ? key_mask(m, "mask", dims) : nullptr};
        for (int64_t i = 0; i < layers; ++i) x = encoder_block(tower["block"][i], x, terms, p_);
        if (run_params.boolean("final_norm", true)) x = rms_norm(tower["final_layer_norm"], x, p_.eps);
        g.output("hidden", x, {dims[0], dims[1], p_.width});
    }

    void build_all(graph & g) const override {
        build(g, "encode", {{"tokens", {1, 1}}}, config(config::object{}));
    }

  private:
    const shape & check_inputs(const input_shapes & inputs) const {
        require_inputs(inputs, {"tokens"}, {"mask"});
        const shape & dims = input_shape(inputs, "tokens", {"B", "T"}, {any, any});
        if (inputs.count("mask")) input_shape(inputs, "mask", {"B", "T"}, dims);
        require_countable({dims[0], dims[1], std::max({p_.width, p_.hidden, p_.bias.heads * p_.head_width})});
        require_countable({dims[0], p_.bias.heads, dims[1], dims[1]});
        return dims;
    }

    params p_;
};

relative_bias_options read_bias(const config & cfg) {
    relative_bias_options o{};
    o.heads = config_integer(cfg, "num_heads", 1, 1 << 10);
    o.buckets = config_integer(cfg, "relative_attention_num_buckets", 4, 1 << 16);
    o.max_distance = config_integer(cfg, "relative_attention_max_distance", 2, 1 << 20);
    if (o.max_distance <= o.buckets / 4) {
        throw error("UNSUPPORTED_MODEL",
                    "Expected relative_attention_max_distance to be greater than a quarter of "
                    "relative_attention_num_buckets in the model's config but found " +
                        std::to_string(o.max_distance) + " and " + std::to_string(o.buckets));
    }
    return o;
}

}  // namespace

t5_encoder_params read_t5_encoder_params(const config & cfg) {
    params p{};
    p.vocabulary = config_integer(cfg, "vocab_size", 1, 1 << 24);
    p.width = config_integer(cfg, "d_model", 1, 1 << 16);
    p.head_width = config_integer(cfg, "d_kv", 1, 1 << 12);
    p.hidden = config_integer(cfg, "d_ff", 1, 1 << 18);
    p.layers = config_integer(cfg, "num_layers", 1, 256);
    p.eps = static_cast<float>(config_number(cfg, "layer_norm_epsilon", 0, 1));
    p.bias = read_bias(cfg);
    const std::string & projection = cfg.text("feed_forward_proj");
    if (projection != "gated-gelu") {
        throw error("UNSUPPORTED_MODEL",
                    "Expected gated-gelu (T5 v1.1) for feed_forward_proj in the model's config but found " +
                        projection);
    }
    return p;
}

std::unique_ptr<architecture> make_t5_encoder(const config & cfg) {
    return std::make_unique<t5_encoder>(read_t5_encoder_params(cfg));
}

}  // namespace safelight
