#include "models/text/bert_encoder.h"

#include <algorithm>

#include "models/checks.h"
#include "models/text/token_vectors.h"
#include "nn/activation.h"
#include "nn/attention/attention.h"
#include "nn/attention/qkv.h"
#include "nn/embedding.h"
#include "nn/layout.h"
#include "nn/linear.h"
#include "nn/norm.h"

namespace safelight {
namespace {

// [B, T, C] -> [B, T, C]. Every position attends to all others, including padding. Heads may be wider than
// C / heads.
tensor self_attention(model_ref m, tensor x, const bert_encoder_params & p) {
    int64_t inner = p.heads * p.head_width;
    auto [q, k, v] = project_qkv(m, x, x, inner, {"q_proj", "k_proj", "v_proj", /*bias*/ false});
    return named_sequence(m, linear(m["out_proj"], attention(m, q, k, v, p.heads), p.width));
}

tensor encoder_layer(model_ref m, tensor x, const bert_encoder_params & p) {
    x = add(m, x, self_attention(m["self_attn"], layer_norm(m["self_attn_layer_norm"], x, p.eps), p));
    tensor inner = gelu(m, linear(m["fc1"], layer_norm(m["final_layer_norm"], x, p.eps), p.hidden));
    return named_sequence(m, add(m, x, linear(m["fc2"], inner, p.width)));
}

class bert_encoder : public architecture {
  public:
    explicit bert_encoder(const bert_encoder_params & p) : p_(p) {}

    std::vector<std::string> entries() const override { return {"encode"}; }

    // tokens [B, T] -> hidden [B, T, C] after `layer` layers (default all) and the final norm, unless the
    // parameter `final_norm` is false.
    void build(graph & g, const std::string & entry, const input_shapes & inputs,
               const config & params) const override {
        if (entry != "encode") throw_unknown_entry(entry);
        const shape & dims = check_inputs(inputs);
        int64_t layers = params.integer("layer", p_.layers);
        if (layers < 0 || layers > p_.layers) {
            throw error("INVALID_OPTION", "Expected integer between 0 and " + std::to_string(p_.layers) +
                                              " for layer but received " + std::to_string(layers));
        }
        model_ref top(g);
        model_ref m = top["model"];
        tensor x = token_embedding(m["embed_tokens"], "tokens", dims, p_.vocabulary, p_.width);
        x = with_token_vectors(m, x, inputs);
        x = named_sequence(
            m, add(m, x, position_embedding(m["embed_positions"], dims[1], p_.positions, p_.width)));
        for (int64_t i = 0; i < layers; ++i) x = encoder_layer(m["layers"][i], x, p_);
        if (params.boolean("final_norm", true)) x = layer_norm(m["layer_norm"], x, p_.eps);
        g.output("hidden", x, {dims[0], dims[1], p_.width});
    }

    void build_all(graph & g) const override {
        build(g, "encode", {{"tokens", {1, 1}}}, config(config::object{}));
    }

  private:
    const shape & check_inputs(const input_shapes & inputs) const {
        require_inputs(inputs, {"tokens"}, {"vectors", "vector_mask"});
        const shape & dims = input_shape(inputs, "tokens", {"B", "T"}, {any, any});
        if (dims[1] > p_.positions) {
            throw error("SHAPE_MISMATCH", "Expected at most " + std::to_string(p_.positions) +
                                              " tokens, start and end included, but received " +
                                              std::to_string(dims[1]));
        }
        check_token_vectors(inputs, p_.width);
        require_countable({dims[0], dims[1], std::max(p_.width, p_.hidden)});
        require_countable({dims[0], p_.heads, dims[1], dims[1]});
        return dims;
    }

    bert_encoder_params p_;
};

}  // namespace

bert_encoder_params read_bert_encoder_params(const config & cfg) {
    bert_encoder_params p{};
    p.vocabulary = config_integer(cfg, "vocab_size", 1, 1 << 24);
    p.width = config_integer(cfg, "hidden_size", 1, 1 << 16);
    p.hidden = config_integer(cfg, "intermediate_size", 1, 1 << 18);
    p.layers = config_integer(cfg, "num_hidden_layers", 1, 256);
    p.heads = config_integer(cfg, "num_attention_heads", 1, 1 << 10);
    p.head_width = config_integer(cfg, "head_dim", 1, 1 << 12);
    p.positions = config_integer(cfg, "max_position_embeddings", 1, 1 << 16);
    p.eps = static_cast<float>(config_number(cfg, "layer_norm_eps", 0, 1));
    return p;
}

std::unique_ptr<architecture> make_bert_encoder(const config & cfg) {
    return std::make_unique<bert_encoder>(read_bert_encoder_params(cfg));
}

}  // namespace safelight
