#include "models/text/text_encoder.h"

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

// [B, T, C] -> [B, T, C]. Each position attends to itself and the positions before it.
tensor self_attention(model_ref m, tensor x, tensor mask, int64_t heads) {
    int64_t width = dims_of_sequence(x).channels;
    auto [q, k, v] = project_qkv(m, x, x, width, {"q_proj", "k_proj", "v_proj"});
    return named_sequence(m, linear(m["out_proj"], attention(m, q, k, v, heads, mask), width));
}

tensor mlp(model_ref m, tensor x, const text_encoder_params & p) {
    x = linear(m["fc1"], x, p.hidden);
    x = p.quick_gelu ? quick_gelu(m, x) : gelu(m, x);
    return named_sequence(m, linear(m["fc2"], x, p.width));
}

tensor encoder_layer(model_ref m, tensor x, tensor mask, const text_encoder_params & p) {
    x = add(m, x, self_attention(m["self_attn"], layer_norm(m["layer_norm1"], x, p.eps), mask, p.heads));
    x = add(m, x, mlp(m["mlp"], layer_norm(m["layer_norm2"], x, p.eps), p));
    return named_sequence(m, x);
}

// Selects the outputs of an encoding.
struct encode_options {
    int64_t layer;  // 0 for the embeddings, n for the output of layer n
    bool final_norm;
    bool pooled;
};

// Token plus position embeddings [B, T, C] -> hidden [B, T, C] and, with o.pooled, pooled [B, P].
void text_tower(model_ref m, tensor x, const encode_options & o, const text_encoder_params & p) {
    sequence_dims d = dims_of_sequence(x);
    model_ref tower = m["text_model"];
    auto normed = [&](tensor state) { return layer_norm(tower["final_layer_norm"], state, p.eps); };
    tensor mask = causal_mask(m, d.length);
    tensor hidden = o.layer == 0 ? x : nullptr;
    int64_t last = o.pooled ? p.layers : o.layer;
    for (int64_t i = 0; i < last; ++i) {
        x = encoder_layer(tower["encoder"]["layers"][i], x, mask, p);
        if (i + 1 == o.layer) hidden = x;
    }
    tensor out = o.final_norm ? normed(hidden) : hidden;
    m.g().output("hidden", out, {d.batch, d.length, d.channels});
    if (!o.pooled) return;

    tensor last_state = o.final_norm && o.layer == p.layers ? out : normed(x);
    tensor pooled = pick_rows(m, last_state, "eos_index");
    if (p.projection > 0) pooled = linear_without_bias(m["text_projection"], pooled, p.projection);
    m.g().output("pooled", pooled, {d.batch, p.projection > 0 ? p.projection : p.width});
}

// Returns token embeddings, looked up (some replaced by vectors) or passed as an input, plus position
// embeddings: [B, T, C].
tensor embeddings(model_ref m, const input_shapes & inputs, const text_encoder_params & p) {
    tensor tokens;
    if (inputs.count("embeddings")) {
        tokens = m.g().input("embeddings", GGML_TYPE_F32, inputs.at("embeddings"));
    } else {
        tokens = token_embedding(m["token_embedding"], "tokens", inputs.at("tokens"), p.vocabulary, p.width);
        tokens = with_token_vectors(m, tokens, inputs);
    }
    int64_t length = dims_of_sequence(tokens).length;
    return named_sequence(
        m, add(m, tokens, position_embedding(m["position_embedding"], length, p.positions, p.width)));
}

void check_inputs(const input_shapes & inputs, const text_encoder_params & p) {
    bool embedded = inputs.count("embeddings");
    if (embedded) {
        require_inputs(inputs, {"embeddings"}, {"eos_index"});
    } else {
        require_inputs(inputs, {"tokens"}, {"eos_index", "vectors", "vector_mask"});
    }
    const shape & dims = embedded ? input_shape(inputs, "embeddings", {"B", "T", "C"}, {any, any, p.width})
                                  : input_shape(inputs, "tokens", {"B", "T"}, {any, any});
    if (dims[1] > p.positions) {
        throw error("SHAPE_MISMATCH", "Expected at most " + std::to_string(p.positions) +
                                          " tokens, start and end included, but received " +
                                          std::to_string(dims[1]));
    }
    if (inputs.count("eos_index")) input_shape(inputs, "eos_index", {"B"}, {dims[0]});
    check_token_vectors(inputs, p.width);
    require_countable({dims[0], dims[1], std::max(p.width, p.hidden)});
    require_countable({dims[0], p.heads, dims[1], dims[1]});
}

class text_encoder : public architecture {
  public:
    explicit text_encoder(const text_encoder_params & p) : p_(p) {}

    std::vector<std::string> entries() const override { return {"encode"}; }

    void build(graph & g, const std::string & entry, const input_shapes & inputs,
               const config & params) const override {
        if (entry != "encode") throw_unknown_entry(entry);
        check_inputs(inputs, p_);
        encode_options o{params.integer("layer", p_.layers), params.boolean("final_norm", true),
                         inputs.count("eos_index") > 0};
        if (o.layer < 0 || o.layer > p_.layers) {
            throw error("INVALID_OPTION", "Expected integer between 0 and " + std::to_string(p_.layers) +
                                              " for layer but received " + std::to_string(o.layer));
        }
        model_ref m(g);
        text_tower(m, embeddings(m["text_model"]["embeddings"], inputs, p_), o, p_);
    }

    void build_all(graph & g) const override {
        build(g, "encode", {{"tokens", {1, 1}}, {"eos_index", {1}}}, config(config::object{}));
    }

  private:
    text_encoder_params p_;
};

}  // namespace

text_encoder_params read_text_encoder_params(const config & cfg) {
    text_encoder_params p{};
    p.vocabulary = config_integer(cfg, "vocab_size", 1, 1 << 24);
    p.width = config_integer(cfg, "hidden_size", 1, 1 << 16);
    p.hidden = config_integer(cfg, "intermediate_size", 1, 1 << 18);
    p.layers = config_integer(cfg, "num_hidden_layers", 1, 256);
    p.heads = config_integer(cfg, "num_attention_heads", 1, 1 << 10);
    p.positions = config_integer(cfg, "max_position_embeddings", 1, 1 << 16);
    p.projection = config_integer(cfg, "projection_dim", 0, 1 << 16);
    p.eps = static_cast<float>(config_number(cfg, "layer_norm_eps", 0, 1));
    require_divides(p.heads, "num_attention_heads", p.width, "hidden_size");
    const std::string & act = cfg.text("hidden_act");
    if (act != "quick_gelu" && act != "gelu") {
        throw error("UNSUPPORTED_MODEL",
                    "Expected quick_gelu or gelu for hidden_act in the model's config but found " + act);
    }
    p.quick_gelu = act == "quick_gelu";
    return p;
}

std::unique_ptr<architecture> make_text_encoder(const config & cfg) {
    return std::make_unique<text_encoder>(read_text_encoder_params(cfg));
}

}  // namespace safelight
