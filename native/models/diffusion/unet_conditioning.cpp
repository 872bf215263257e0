#include "models/diffusion/unet.h"
#include "nn/activation.h"
#include "nn/embedding.h"
#include "nn/layout.h"
#include "nn/linear.h"

namespace safelight {
namespace {

using params = unet_params;

// Two linear layers with SiLU in between: [B, n] -> [B, E].
tensor embedding_mlp(model_ref m, tensor x, int64_t width) {
    x = silu(m, linear(m["linear_1"], x, width));
    return named_vector(m, linear(m["linear_2"], x, width));
}

tensor class_embedding(model_ref m, const shape & labels, int64_t width, sinusoid_options sinusoid,
                       const unet_class_embedding & label) {
    const char * input = "class_labels";
    switch (label.kind) {
        case unet_class_embedding::table: {
            tensor row = token_embedding(m, input, {labels[0], 1}, label.size, width);
            return named_vector(m, ggml_reshape_2d(m.ctx(), row, width, labels[0]));
        }
        case unet_class_embedding::timestep:
            return embedding_mlp(m, sinusoids(m, input, labels, sinusoid), width);
        case unet_class_embedding::identity:
            return m.g().input(input, GGML_TYPE_F32, labels);
        default:
            return embedding_mlp(m, m.g().input(input, GGML_TYPE_F32, labels), width);
    }
}

// Adds the projected embedding of the guidance scale to the sinusoid of the timestep (Luo et al. 2023,
// arXiv:2310.04378; diffusers' TimestepEmbedding with a condition).
tensor add_guidance(model_ref m, tensor t, const shape & scales, const params & p) {
    constexpr double freq_shift = 1;
    tensor w = sinusoids(m, "guidance", scales, {p.guidance_dim, false, freq_shift});
    return add(m, t, linear_without_bias(m["cond_proj"], w, p.levels.front().channels));
}

tensor time_embedding(model_ref m, const input_shapes & inputs, const params & p) {
    const full_precision scope(m.g());
    int64_t width = p.levels.front().channels;
    sinusoid_options sinusoid{width, p.cosines_first, p.freq_shift};
    tensor t = sinusoids(m, "timestep", inputs.at("timestep"), sinusoid);
    if (p.guidance_dim > 0) t = add_guidance(m["time_embedding"], t, inputs.at("guidance"), p);
    tensor emb = embedding_mlp(m["time_embedding"], t, 4 * width);
    if (p.label) {
        emb = add(
            m, emb,
            class_embedding(m["class_embedding"], inputs.at("class_labels"), 4 * width, sinusoid, *p.label));
    }
    if (p.addition) {
        sinusoid_options o{p.addition->time_embed_dim, p.cosines_first, p.freq_shift};
        tensor pooled = m.g().input("text_embeds", GGML_TYPE_F32, inputs.at("text_embeds"));
        tensor numbers = sinusoids(m, "time_ids", inputs.at("time_ids"), o);
        tensor both = ggml_concat(m.ctx(), pooled, numbers, 0);
        emb = add(m, emb, embedding_mlp(m["add_embedding"], both, 4 * width));
    }
    return silu(m, emb);
}

}  // namespace

unet_conditioning build_conditioning(model_ref m, const input_shapes & inputs, const config & run_params,
                                     const params & p) {
    tensor emb = time_embedding(m, inputs, p);
    if (!p.transformers) return {emb, {}};
    unet_text text;
    text.keeps_outputs = run_params.boolean("keep_cross_attention", false);
    if (run_params.has("texts")) {
        text.count = run_params.integer("texts");
        text.length = run_params.integer("text_length");
        m.g().limit("text", 0, text.count - 1);
        text.rows = m.g().input("text", GGML_TYPE_I32, inputs.at("text"));
    } else if (inputs.count("context")) {
        text.context = m.g().input("context", GGML_TYPE_F32, inputs.at("context"));
    } else {
        text.outputs = read_states(m, inputs, run_params);
    }
    return {emb, text};
}

}  // namespace safelight
