#include "models/unet.h"

#include <algorithm>

#include "models/blocks.h"
#include "models/checks.h"
#include "nn/activation.h"
#include "nn/attention.h"
#include "nn/conv.h"
#include "nn/embedding.h"
#include "nn/layout.h"
#include "nn/linear.h"

namespace safelight {
namespace {

using params = unet_params;

constexpr float layer_norm_eps = 1e-5f;
constexpr float transformer_norm_eps = 1e-6f;

// x [B, T, C] attends to context [B, Tk, D], which is x itself in attn1.
tensor cross_attention(model_ref m, tensor x, tensor context, int64_t heads) {
    int64_t width = dims_of_sequence(x).channels;
    tensor q = named_sequence(m["to_q"], linear_without_bias(m["to_q"], x, width));
    tensor k = named_sequence(m["to_k"], linear_without_bias(m["to_k"], context, width));
    tensor v = named_sequence(m["to_v"], linear_without_bias(m["to_v"], context, width));
    return named_sequence(m, linear(m["to_out"][0], attention(m, q, k, v, heads), width));
}

tensor feed_forward(model_ref m, tensor x) {
    int64_t width = dims_of_sequence(x).channels;
    x = geglu(m, linear(m["net"][0]["proj"], x, 8 * width));
    return named_sequence(m, linear(m["net"][2], x, width));
}

tensor transformer_block(model_ref m, tensor x, tensor context, int64_t heads) {
    tensor h = layer_norm(m["norm1"], x, layer_norm_eps);
    x = add(m, x, cross_attention(m["attn1"], h, h, heads));
    h = layer_norm(m["norm2"], x, layer_norm_eps);
    x = add(m, x, cross_attention(m["attn2"], h, context, heads));
    h = layer_norm(m["norm3"], x, layer_norm_eps);
    x = add(m, x, feed_forward(m["ff"], h));
    return named_sequence(m, x);
}

// Transformer blocks over the pixels of a map, around them a residual. [B, C, H, W] -> [B, C, H, W]. proj_in
// and proj_out are 1x1 convolutions in SD1, linear layers later: the same sum over a sequence.
tensor spatial_transformer(model_ref m, tensor x, tensor context, const unet_level & level, int64_t groups) {
    map_dims d = dims_of_map(m, x);
    tensor h = sequence_from_map(m, group_norm(m["norm"], x, {groups, transformer_norm_eps}));
    h = linear(m["proj_in"], h, d.channels);
    for (int64_t i = 0; i < level.depth; ++i) {
        h = transformer_block(m["transformer_blocks"][i], h, context, level.heads);
    }
    h = linear(m["proj_out"], h, d.channels);
    return named_map(m, add(m, map_from_sequence(m, h, d.height, d.width), x));
}

// What every block is conditioned on.
struct conditions {
    tensor emb;      // [B, E], time (and SDXL's addition), SiLU applied
    tensor context;  // [B, T, D]
};

tensor resnet_and_attention(model_ref m, int64_t i, tensor x, const conditions & c, const unet_level & level,
                            bool attention, const params & p) {
    x = resnet_block(m["resnets"][i], x, c.emb, level.channels, p.norm);
    return attention ? spatial_transformer(m["attentions"][i], x, c.context, level, p.norm.groups) : x;
}

// Appends to `skips` what the up path reads again.
tensor down_block(model_ref m, tensor x, const conditions & c, const unet_level & level, bool last,
                  const params & p, std::vector<tensor> & skips) {
    for (int64_t i = 0; i < level.layers; ++i) {
        x = resnet_and_attention(m, i, x, c, level, level.down_attention, p);
        skips.push_back(x);
    }
    if (!last) {
        model_ref down = m["downsamplers"][0];
        x = named_map(down,
                      conv2d(down["conv"], x, level.channels, {.kernel = 3, .stride = 2, .padding = 1}));
        skips.push_back(x);
    }
    return named_map(m, x);
}

tensor mid_block(model_ref m, tensor x, const conditions & c, const params & p) {
    const unet_level & level = p.levels.back();
    x = resnet_and_attention(m, 0, x, c, level, p.mid_attention, p);
    if (p.mid_attention) x = resnet_block(m["resnets"][1], x, c.emb, level.channels, p.norm);
    return named_map(m, x);
}

// Takes from `skips` in the reverse order. A map is upsampled to the size of the next skip, which is odd
// where the down path met an odd size.
tensor up_block(model_ref m, tensor x, const conditions & c, const unet_level & level, bool last,
                const params & p, std::vector<tensor> & skips) {
    for (int64_t i = 0; i < level.layers + 1; ++i) {
        x = concat_channels(m, x, skips.back());
        skips.pop_back();
        x = resnet_and_attention(m, i, x, c, level, level.up_attention, p);
    }
    if (!last) {
        map_dims next = dims_of_map(m, skips.back());
        x = upsample(m["upsamplers"][0], x, next.height, next.width);
    }
    return named_map(m, x);
}

// Two linear layers with SiLU between: [B, n] -> [B, E].
tensor embedding_mlp(model_ref m, tensor x, int64_t width) {
    x = silu(m, linear(m["linear_1"], x, width));
    return named_vector(m, linear(m["linear_2"], x, width));
}

tensor time_embedding(model_ref m, const input_shapes & inputs, const params & p) {
    int64_t width = p.levels.front().channels;
    tensor t = sinusoids(m, "timestep", inputs.at("timestep"), {width, p.cosines_first, p.freq_shift});
    tensor emb = embedding_mlp(m["time_embedding"], t, 4 * width);
    if (p.addition) {
        sinusoid_options o{p.addition->time_embed_dim, p.cosines_first, p.freq_shift};
        tensor pooled = m.g().input("text_embeds", GGML_TYPE_F32, inputs.at("text_embeds"));
        tensor numbers = sinusoids(m, "time_ids", inputs.at("time_ids"), o);
        tensor both = ggml_concat(m.ctx(), pooled, numbers, 0);
        emb = add(m, emb, embedding_mlp(m["add_embedding"], both, 4 * width));
    }
    return silu(m, emb);
}

void unet(model_ref m, const input_shapes & inputs, const params & p) {
    tensor x = map_input(m, "sample", inputs.at("sample"));
    conditions c{time_embedding(m, inputs, p), m.g().input("context", GGML_TYPE_F32, inputs.at("context"))};

    x = named_map(m["conv_in"], conv2d(m["conv_in"], x, p.levels.front().channels));
    std::vector<tensor> skips{x};
    int64_t count = static_cast<int64_t>(p.levels.size());
    for (int64_t i = 0; i < count; ++i) {
        x = down_block(m["down_blocks"][i], x, c, p.levels[i], i == count - 1, p, skips);
    }
    x = mid_block(m["mid_block"], x, c, p);
    for (int64_t i = 0; i < count; ++i) {
        x = up_block(m["up_blocks"][i], x, c, p.levels[count - 1 - i], i == count - 1, p, skips);
    }
    x = convolution_out(m, x, p.out_channels, p.norm);
    map_output(m, "sample", x);
}

// The widest activations of each level: joined with a skip, and inside the transformers' GEGLU.
void check_activations(const shape & sample, const params & p) {
    int64_t height = sample[2], width = sample[3], previous = p.levels.front().channels;
    for (const unet_level & level : p.levels) {
        int64_t joined = 2 * std::max(level.channels, previous);
        require_countable({sample[0], std::max(8 * level.channels, joined), height, width});
        height = (height + 1) / 2;
        width = (width + 1) / 2;
        previous = level.channels;
    }
}

void check_addition(const input_shapes & inputs, int64_t batch, const unet_addition & a) {
    int64_t count = input_shape(inputs, "time_ids", {"B", "N"}, {batch, any})[1];
    require_countable({batch, count, a.time_embed_dim});
    int64_t pooled = a.input_dim - count * a.time_embed_dim;
    if (pooled < 1) {
        throw error("SHAPE_MISMATCH", "Expected fewer time_ids than " + std::to_string(count) +
                                          ": add_embedding is " + std::to_string(a.input_dim) + " wide");
    }
    input_shape(inputs, "text_embeds", {"B", "P"}, {batch, pooled});
}

void check_inputs(const input_shapes & inputs, const params & p) {
    std::vector<const char *> names{"sample", "timestep", "context"};
    if (p.addition) names.insert(names.end(), {"text_embeds", "time_ids"});
    require_inputs(inputs, names);
    const shape & sample =
        input_shape(inputs, "sample", {"B", "C", "H", "W"}, {any, p.in_channels, any, any});
    check_activations(sample, p);
    input_shape(inputs, "timestep", {"B"}, {sample[0]});
    const shape & context = input_shape(inputs, "context", {"B", "T", "D"}, {sample[0], any, p.context_dim});
    for (const unet_level & level : p.levels) require_countable({sample[0], context[1], level.channels});
    if (p.addition) check_addition(inputs, sample[0], *p.addition);
}

class unet_architecture : public architecture {
  public:
    explicit unet_architecture(params p) : p_(std::move(p)) {}

    std::vector<std::string> entries() const override { return {"forward"}; }

    void build(graph & g, const std::string & entry, const input_shapes & inputs,
               const config &) const override {
        if (entry != "forward") unknown_entry(entry);
        check_inputs(inputs, p_);
        unet(model_ref(g), inputs, p_);
    }

    void build_all(graph & g) const override {
        input_shapes inputs{
            {"sample", {1, p_.in_channels, 1, 1}}, {"timestep", {1}}, {"context", {1, 1, p_.context_dim}}};
        if (p_.addition) {
            const auto [width, all] = *p_.addition;
            int64_t numbers = std::min<int64_t>(6, (all - 1) / width);
            if (numbers < 1)
                throw error("UNSUPPORTED_MODEL", "Expected input_dim to hold pooled text and time ids");
            inputs["time_ids"] = {1, numbers};
            inputs["text_embeds"] = {1, all - numbers * width};
        }
        build(g, "forward", inputs, {});
    }

  private:
    params p_;
};

}  // namespace

std::unique_ptr<architecture> make_unet(const config & cfg) {
    return std::make_unique<unet_architecture>(read_unet_params(cfg));
}

}  // namespace safelight
