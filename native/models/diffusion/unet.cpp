#include "models/diffusion/unet.h"

#include "nn/conv.h"
#include "nn/layout.h"
#include "nn/resample.h"

namespace safelight {
namespace {

using params = unet_params;
using conditioning = unet_conditioning;

resnet_options resnet_settings(const params & p, resampling resample = {}) {
    return {.norm = p.norm, .scale_shift = p.scale_shift, .resample = resample};
}

tensor downsample(model_ref m, tensor x, const conditioning & c, const unet_level & level, const params & p) {
    if (level.resnet_down)
        return resnet_block(m, x, c.emb, level.channels, resnet_settings(p, {.kind = resampling::halve}));
    int padding = static_cast<int>(p.downsample_padding);
    if (padding == 0) x = pad_bottom_right(m, x);
    return named_map(m, conv2d(m["conv"], x, level.channels, {.kernel = 3, .stride = 2, .padding = padding}));
}

tensor enlarge(model_ref m, tensor x, const conditioning & c, const unet_level & level, const map_dims & to,
               const params & p) {
    if (!level.resnet_up) return upsample(m, x, to.height, to.width);
    resampling size{resampling::enlarge, to.height, to.width};
    return resnet_block(m, x, c.emb, level.channels, resnet_settings(p, size));
}

// State of one evaluation. The down path stores the maps that the up path concatenates.
struct pass {
    const params & p;
    conditioning c;
    unet_changes changes;
    std::vector<tensor> skips;

    int64_t count() const { return static_cast<int64_t>(p.levels.size()); }
};

// Residual block `j` of level `i`, and its attention.
tensor resnet_and_attention(model_ref m, int64_t i, int64_t j, tensor x, bool attention, const pass & run) {
    const unet_level & level = run.p.levels[i];
    x = resnet_block(m["resnets"][j], x, run.c.emb, level.channels, resnet_settings(run.p));
    if (!attention) return x;
    m = m["attentions"][j];
    if (!run.p.transformers) return attention_block(m, x, {.heads = level.heads, .norm = run.p.norm});
    return spatial_transformer(m, x, run.c.text,
                               {.depth = level.depth,
                                .heads = level.heads,
                                .groups = run.p.norm.groups,
                                .merged = i == 0 ? run.changes.merged : 0});
}

// The first `layers` residual blocks of a level and, if `downsamples`, the downsampling to the next level.
tensor down_block(model_ref m, tensor x, int64_t i, int64_t layers, bool downsamples, pass & run) {
    const unet_level & level = run.p.levels[i];
    for (int64_t j = 0; j < layers; ++j) {
        x = resnet_and_attention(m, i, j, x, level.down_attention, run);
        run.skips.push_back(x);
    }
    if (downsamples && i + 1 < run.count()) {
        x = downsample(m["downsamplers"][0], x, run.c, level, run.p);
        run.skips.push_back(x);
    }
    return named_map(m, x);
}

tensor mid_block(model_ref m, tensor x, const pass & run) {
    const params & p = run.p;
    const conditioning & c = run.c;
    if (p.mid_resnets == 0) return x;
    const unet_level & level = p.levels.back();
    resnet_options o = resnet_settings(p);
    o.output_scale = p.mid_scale;
    x = resnet_block(m["resnets"][0], x, c.emb, level.channels, o);
    model_ref attention = m["attentions"][0];
    if (p.mid_attention && p.transformers) {
        x = spatial_transformer(attention, x, c.text,
                                {.depth = level.depth,
                                 .heads = level.heads,
                                 .groups = p.norm.groups,
                                 .perturbed = run.changes.perturbed,
                                 .outputs_attention = run.changes.outputs_attention});
    } else if (p.mid_attention) {
        x = attention_block(attention, x, {level.heads, {p.mid_attention_groups, p.norm.eps}, p.mid_scale});
    }
    if (p.mid_resnets == 2) x = resnet_block(m["resnets"][1], x, c.emb, level.channels, o);
    return named_map(m, x);
}

// The residual blocks of a level from `first` on, which concatenate the skips in reverse order. The input of
// the block at `cut` becomes the output "deep". Upsamples to the size of the next skip, because the down path
// rounds odd sizes.
tensor up_block(model_ref m, tensor x, int64_t i, int64_t first, pass & run, const unet_cut * cut) {
    const unet_level & level = run.p.levels[i];
    for (int64_t j = first; j < level.layers + 1; ++j) {
        if (cut && cut->level == i && cut->layer == level.layers - j) map_output(m, "deep", x);
        tensor skip = run.skips.back();
        run.skips.pop_back();
        run.changes.freeu.apply(m, run.count() - 1 - i, x, skip);
        x = concat_channels(m, x, skip);
        x = resnet_and_attention(m, i, j, x, level.up_attention, run);
    }
    if (i > 0) {
        map_dims next = dims_of_map(m, run.skips.back());
        x = enlarge(m["upsamplers"][0], x, run.c, level, next, run.p);
    }
    return named_map(m, x);
}

// The up path from residual block `first` of level `i` to the finest level, and the output convolution.
tensor up_path(model_ref m, tensor x, int64_t i, int64_t first, pass & run, const unet_cut * cut) {
    for (; i >= 0; --i, first = 0) {
        x = up_block(m["up_blocks"][run.count() - 1 - i], x, i, first, run, cut);
    }
    if (run.changes.keeps_end) map_output(m, "end", x);
    return convolution_out(m, x, run.p.out_channels, run.p.norm);
}

pass begin_pass(model_ref m, const input_shapes & inputs, const config & run_params, const params & p,
                tensor & x) {
    x = map_input(m, "sample", inputs.at("sample"));
    pass run{p, build_conditioning(m, inputs, run_params, p), read_unet_changes(run_params), {}};
    x = convolution_in(m, x, p.levels.front().channels);
    run.skips.push_back(x);
    return run;
}

// Entries `forward`: the full U-Net, and `gated`: without attention to a text. With a cut, also outputs the
// map that `shallow` reuses.
void build_forward(model_ref m, const input_shapes & inputs, const config & run_params, const params & p,
                   const unet_cut * cut) {
    tensor x = nullptr;
    pass run = begin_pass(m, inputs, run_params, p, x);
    for (int64_t i = 0; i < run.count(); ++i) {
        x = down_block(m["down_blocks"][i], x, i, p.levels[i].layers, true, run);
    }
    x = mid_block(m["mid_block"], x, run);
    map_output(m, "sample", up_path(m, x, run.count() - 1, 0, run, cut));
}

// Entry `shallow`: only the layers above the cut, with the maps "deep" of earlier evaluations as an input.
void build_shallow(model_ref m, const input_shapes & inputs, const config & run_params, const params & p,
                   const unet_cut & cut) {
    tensor x = nullptr;
    pass run = begin_pass(m, inputs, run_params, p, x);
    for (int64_t i = 0; i <= cut.level; ++i) {
        x = down_block(m["down_blocks"][i], x, i, i < cut.level ? p.levels[i].layers : cut.layer,
                       i < cut.level, run);
    }
    x = combined(m, map_input(m, "deep", inputs.at("deep")), read_states(m, inputs, run_params));
    int64_t first = p.levels[cut.level].layers - cut.layer;
    map_output(m, "sample", up_path(m, x, cut.level, first, run, nullptr));
}

// Returns the sum of the absolute values of each item: [B, C, H, W] -> [B, 1].
tensor absolute_sums(model_ref m, tensor x) {
    tensor rows = ggml_reshape_2d(m.ctx(), x, ggml_nelements(x) / x->ne[3], x->ne[3]);
    return ggml_sum_rows(m.ctx(), ggml_abs(m.ctx(), rows));
}

// Entry `head`: the first residual block with its attention ("end") and what it adds to its input
// ("residual"). With the residual of an earlier evaluation, also its "change" [B, 2]: the sums of the
// absolute values of the difference and of the earlier residual.
void build_head(model_ref m, const input_shapes & inputs, const config & run_params, const params & p) {
    tensor x = nullptr;
    pass run = begin_pass(m, inputs, run_params, p, x);
    tensor y = resnet_and_attention(m["down_blocks"][0], 0, 0, x, p.levels[0].down_attention, run);
    map_output(m, "end", y);
    tensor residual = ggml_sub(m.ctx(), y, x);
    map_output(m, "residual", residual);
    if (!inputs.count("previous")) return;
    tensor previous = map_input(m, "previous", inputs.at("previous"));
    tensor sums = ggml_concat(m.ctx(), absolute_sums(m, ggml_sub(m.ctx(), residual, previous)),
                              absolute_sums(m, previous), 0);
    m.g().output("change", sums, {sums->ne[1], 2});
}

// Entry `tail`: only the output convolution, of the features "end".
void build_tail(model_ref m, const input_shapes & inputs, const config & run_params, const params & p) {
    tensor x = combined(m, map_input(m, "end", inputs.at("end")), read_states(m, inputs, run_params));
    map_output(m, "sample", convolution_out(m, x, p.out_channels, p.norm));
}

class unet_architecture : public architecture {
  public:
    explicit unet_architecture(params p) : p_(std::move(p)) {}

    std::vector<std::string> entries() const override {
        return {"forward", "shallow", "gated", "head", "tail", "texts"};
    }

    void build(graph & g, const std::string & entry, const input_shapes & inputs,
               const config & run_params) const override {
        if (entry == "texts") {
            check_context_input(inputs, p_);
            return build_cross_attention_cache(model_ref(g), inputs, p_);
        }
        const unet_reuse reuse = reuse_of(entry);
        const bool cuts = reuse == unet_reuse::deep || run_params.has("branch");
        unet_cut cut = cuts ? cut_at_branch(run_params.integer("branch"), p_) : unet_cut{};
        check_unet_inputs(inputs, run_params, p_, reuse, cut);
        if (reuse == unet_reuse::deep) return build_shallow(model_ref(g), inputs, run_params, p_, cut);
        if (reuse == unet_reuse::head) return build_head(model_ref(g), inputs, run_params, p_);
        if (reuse == unet_reuse::end) return build_tail(model_ref(g), inputs, run_params, p_);
        build_forward(model_ref(g), inputs, run_params, p_, cuts ? &cut : nullptr);
    }

    void build_all(graph & g) const override { build(g, "forward", smallest_unet_inputs(p_), {}); }

  private:
    unet_reuse reuse_of(const std::string & entry) const {
        if (entry == "forward") return unet_reuse::none;
        if (entry == "shallow") return unet_reuse::deep;
        if (entry == "head") return unet_reuse::head;
        if (entry == "tail") return unet_reuse::end;
        if (entry != "gated") throw_unknown_entry(entry);
        if (!p_.transformers) throw error("INVALID_OPTION", "This U-Net has no cross-attention to text");
        return unet_reuse::cross;
    }

    params p_;
};

}  // namespace

std::unique_ptr<architecture> make_unet(const config & cfg) {
    return std::make_unique<unet_architecture>(read_unet_params(cfg));
}

}  // namespace safelight
