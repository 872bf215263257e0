#include "models/vqgan/latent_transformer.h"

#include "models/checks.h"
#include "nn/activation.h"
#include "nn/attention/causal.h"
#include "nn/attention/qkv.h"
#include "nn/embedding.h"
#include "nn/layout.h"
#include "nn/linear.h"
#include "nn/norm.h"

namespace safelight {
namespace {

constexpr float norm_eps = 1e-5f;  // default of torch.nn.LayerNorm, which taming uses

// [B, T, C] -> [B, T, C]. With a session, also attends to the cached keys and values of its earlier runs.
tensor self_attention(model_ref m, tensor x, const causal_view & view, int64_t heads) {
    int64_t width = dims_of_sequence(x).channels;
    auto [q, k, v] = project_qkv(m, x, x, width, {"query", "key", "value"});
    if (view.position) {
        k = cached(m, "keys", k, view);
        v = cached(m, "values", v, view);
    }
    return named_sequence(m, linear(m["proj"], causal_attention(m, q, k, v, heads, view), width));
}

tensor mlp(model_ref m, tensor x, int64_t width) {
    return named_sequence(m, linear(m[2], gelu(m, linear(m[0], x, 4 * width)), width));
}

tensor block(model_ref m, tensor x, const causal_view & view, const latent_transformer_params & p) {
    x = add(m, x, self_attention(m["attn"], layer_norm(m["ln1"], x, norm_eps), view, p.heads));
    x = add(m, x, mlp(m["mlp"], layer_norm(m["ln2"], x, norm_eps), p.width));
    return named_sequence(m, x);
}

// Returns the input sequence, `embeddings` before the embedded `codes`: [B, E + T, C].
tensor tokens(model_ref m, const input_shapes & inputs, const latent_transformer_params & p) {
    tensor x = nullptr;
    if (inputs.count("embeddings")) {
        x = m.g().input("embeddings", GGML_TYPE_F32, inputs.at("embeddings"));
    }
    if (!inputs.count("codes")) return x;
    tensor codes = token_embedding(m["tok_emb"], "codes", inputs.at("codes"), p.vocabulary, p.width);
    return x ? ggml_concat(m.ctx(), x, codes, 1) : codes;
}

// Returns the position embeddings [T, C] of the whole sequence, or of the positions that a step adds.
tensor positions(model_ref m, const causal_view & view, const latent_transformer_params & p) {
    tensor table = m.weight("pos_emb", {p.block, p.width}, weight_role::embedding);
    if (view.rows) return ggml_get_rows(m.ctx(), table, view.rows);
    tensor rows = ggml_view_2d(m.ctx(), table, p.width, view.queries, table->nb[1], 0);
    return table->type == GGML_TYPE_F32 ? rows : ggml_cast(m.ctx(), rows, GGML_TYPE_F32);
}

// [B, T, C] -> state of each sequence's last position [B, 1, C]
tensor last_position(model_ref m, tensor x) {
    sequence_dims d = dims_of_sequence(x);
    if (d.length == 1) return x;
    return ggml_cont(m.ctx(), ggml_view_3d(m.ctx(), x, d.channels, 1, d.batch, x->nb[1], x->nb[2],
                                           static_cast<size_t>(d.length - 1) * x->nb[1]));
}

int64_t sequence_length(const input_shapes & inputs, const latent_transformer_params & p) {
    bool codes = inputs.count("codes"), embedded = inputs.count("embeddings");
    int64_t batch = -1, length = 0;
    if (codes) {
        const shape & dims = input_shape(inputs, "codes", {"B", "T"}, {any, any});
        batch = dims[0];
        length = dims[1];
    }
    if (embedded) {
        const shape & dims = input_shape(inputs, "embeddings", {"B", "T", "C"}, {batch, any, p.width});
        batch = dims[0];
        length += dims[1];
    }
    if (length > p.block) {
        throw error("SHAPE_MISMATCH", "Expected at most " + std::to_string(p.block) +
                                          " code indices and embeddings in total but received " +
                                          std::to_string(length));
    }
    require_countable({batch, length, 4 * p.width});
    require_countable({batch, p.heads, length, p.block});
    return length;
}

class latent_transformer : public architecture {
  public:
    explicit latent_transformer(const latent_transformer_params & p) : p_(p) {}

    std::vector<std::string> entries() const override { return {"forward", "step"}; }

    // forward: codes [B, T] -> logits [B, T, V].
    // step: codes [B, T] at the positions from `position` on, continuing the session's earlier runs -> logits
    // of the next code index, [B, V]. Both accept `embeddings` [B, E, C] before the codes.
    void build(graph & g, const std::string & entry, const input_shapes & inputs,
               const config &) const override {
        bool step = entry == "step";
        if (!step && entry != "forward") throw_unknown_entry(entry);
        std::vector<const char *> needed;
        if (step) needed.push_back("position");
        if (!inputs.count("embeddings")) needed.push_back("codes");
        require_inputs(inputs, needed, {"codes", "embeddings"});
        if (step) input_shape(inputs, "position", {"1"}, {1});
        int64_t length = sequence_length(inputs, p_);

        model_ref m(g);
        causal_view view =
            step ? causal_from(m, "position", length, p_.block, p_.unmasked) : causal(m, length, p_.unmasked);
        tensor x = tokens(m, inputs, p_);
        x = named_sequence(m["drop"], ggml_add(m.ctx(), x, positions(m, view, p_)));
        for (int64_t i = 0; i < p_.layers; ++i) x = block(m["blocks"][i], x, view, p_);
        int64_t batch = dims_of_sequence(x).batch;
        if (step) x = last_position(m, x);
        if (!step) require_countable({batch, length, p_.vocabulary});
        x = linear_without_bias(m["head"], layer_norm(m["ln_f"], x, norm_eps), p_.vocabulary);
        g.output("logits", x, step ? shape{batch, p_.vocabulary} : shape{batch, length, p_.vocabulary});
    }

    void build_all(graph & g) const override {
        build(g, "forward", {{"codes", {1, 1}}}, config(config::object{}));
    }

  private:
    latent_transformer_params p_;
};

}  // namespace

latent_transformer_params read_latent_transformer_params(const config & cfg) {
    latent_transformer_params p{};
    p.vocabulary = config_integer(cfg, "vocab_size", 1, 1 << 24);
    p.block = config_integer(cfg, "block_size", 1, 1 << 20);
    p.layers = config_integer(cfg, "n_layer", 1, 256);
    p.heads = config_integer(cfg, "n_head", 1, 1 << 10);
    p.width = config_integer(cfg, "n_embd", 1, 1 << 16);
    p.unmasked = config_integer(cfg, "n_unmasked", 0, p.block);
    require_divides(p.heads, "n_head", p.width, "n_embd");
    return p;
}

std::unique_ptr<architecture> make_latent_transformer(const config & cfg) {
    return std::make_unique<latent_transformer>(read_latent_transformer_params(cfg));
}

}  // namespace safelight
