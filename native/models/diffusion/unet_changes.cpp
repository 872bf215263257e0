#include <limits>

#include "models/checks.h"
#include "models/diffusion/unet.h"
#include "nn/layout.h"

namespace safelight {

unet_changes read_unet_changes(const config & run_params) {
    unet_changes changes;
    constexpr double largest = 1e3, most_merged = 0.99;
    if (run_params.has("freeu")) {
        const config & factors = run_params.at("freeu");
        const char * names[] = {"b1", "b2", "s1", "s2"};
        double * values[] = {&changes.freeu.backbone[0], &changes.freeu.backbone[1], &changes.freeu.skips[0],
                             &changes.freeu.skips[1]};
        for (int i = 0; i < 4; ++i) *values[i] = config_number(factors, names[i], 0, largest);
        changes.freeu.on = true;
    }
    changes.outputs_attention = run_params.boolean("attention", false);
    changes.keeps_end = run_params.boolean("keep_end", false);
    changes.perturbed = run_params.has("perturbed")
                            ? config_integer(run_params, "perturbed", 0, std::numeric_limits<int32_t>::max())
                            : 0;
    if (run_params.has("token_merging"))
        changes.merged = config_number(run_params, "token_merging", 0, most_merged);
    return changes;
}

unet_states read_states(model_ref m, const input_shapes & inputs, const config & run_params) {
    if (!run_params.has("states")) return {};
    return {run_params.integer("states"), m.g().input("weights", GGML_TYPE_F32, inputs.at("weights"))};
}

// The batch is the last dimension of ggml's order: of maps ne[3], of sequences ne[2].
tensor combined(model_ref m, tensor x, const unet_states & states) {
    if (!states.weights) return x;
    ggml_context * ctx = m.ctx();
    if (!ggml_is_contiguous(x)) x = ggml_cont(ctx, x);
    const int64_t size = ggml_nelements(x) / states.count;
    m.g().require_room(4 * static_cast<size_t>(states.count) + 1);
    tensor sum = nullptr;
    for (int64_t i = 0; i < states.count; ++i) {
        tensor state = ggml_view_1d(ctx, x, size, static_cast<size_t>(i * size) * sizeof(float));
        tensor weight = ggml_view_1d(ctx, states.weights, 1, static_cast<size_t>(i) * sizeof(float));
        tensor part = ggml_mul(ctx, state, weight);
        sum = sum ? ggml_add(ctx, sum, part) : part;
    }
    const bool map = x->ne[3] > 1 || ggml_n_dims(x) == 4;
    return map ? ggml_reshape_4d(ctx, sum, x->ne[0], x->ne[1], x->ne[2], x->ne[3] / states.count)
               : ggml_reshape_3d(ctx, sum, x->ne[0], x->ne[1], x->ne[2] / states.count);
}

std::vector<cross_attention_layer> cross_attention_layers(const unet_params & p) {
    std::vector<cross_attention_layer> layers;
    const auto list = [&](const std::string & block, int64_t blocks, int64_t level) {
        const int64_t depth = p.levels[level].depth;
        for (int64_t i = 0; i < blocks * depth; ++i) {
            layers.push_back({block + ".attentions." + std::to_string(i / depth) + ".transformer_blocks." +
                                  std::to_string(i % depth) + ".attn2",
                              level});
        }
    };
    const int64_t count = static_cast<int64_t>(p.levels.size());
    for (int64_t i = 0; i < count; ++i) {
        if (p.levels[i].down_attention) list("down_blocks." + std::to_string(i), p.levels[i].layers, i);
    }
    if (p.mid_attention) list("mid_block", 1, count - 1);
    for (int64_t i = count - 1; i >= 0; --i) {
        if (p.levels[i].up_attention)
            list("up_blocks." + std::to_string(count - 1 - i), p.levels[i].layers + 1, i);
    }
    return layers;
}

}  // namespace safelight
