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

tensor apply_attention(model_ref m, tensor x, const conditioning & c, const unet_level & level,
                       const params & p) {
    if (p.transformers) return spatial_transformer(m, x, c.text, level, p.norm.groups);
    return attention_block(m, x, {.heads = level.heads, .norm = p.norm});
}

tensor resnet_and_attention(model_ref m, int64_t i, tensor x, const conditioning & c,
                            const unet_level & level, bool attention, const params & p) {
    x = resnet_block(m["resnets"][i], x, c.emb, level.channels, resnet_settings(p));
    return attention ? apply_attention(m["attentions"][i], x, c, level, p) : x;
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
    std::vector<tensor> skips;

    int64_t count() const { return static_cast<int64_t>(p.levels.size()); }
};

// The first `layers` residual blocks of a level and, if `downsamples`, the downsampling to the next level.
tensor down_block(model_ref m, tensor x, int64_t i, int64_t layers, bool downsamples, pass & run) {
    const unet_level & level = run.p.levels[i];
    for (int64_t j = 0; j < layers; ++j) {
        x = resnet_and_attention(m, j, x, run.c, level, level.down_attention, run.p);
        run.skips.push_back(x);
    }
    if (downsamples && i + 1 < run.count()) {
        x = downsample(m["downsamplers"][0], x, run.c, level, run.p);
        run.skips.push_back(x);
    }
    return named_map(m, x);
}

tensor mid_block(model_ref m, tensor x, const conditioning & c, const params & p) {
    if (p.mid_resnets == 0) return x;
    const unet_level & level = p.levels.back();
    resnet_options o = resnet_settings(p);
    o.output_scale = p.mid_scale;
    x = resnet_block(m["resnets"][0], x, c.emb, level.channels, o);
    model_ref attention = m["attentions"][0];
    if (p.mid_attention && p.transformers) {
        x = spatial_transformer(attention, x, c.text, level, p.norm.groups);
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
        x = concat_channels(m, x, run.skips.back());
        run.skips.pop_back();
        x = resnet_and_attention(m, j, x, run.c, level, level.up_attention, run.p);
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
    return convolution_out(m, x, run.p.out_channels, run.p.norm);
}

pass begin_pass(model_ref m, const input_shapes & inputs, const config & run_params, const params & p,
                tensor & x) {
    x = map_input(m, "sample", inputs.at("sample"));
    pass run{p, build_conditioning(m, inputs, run_params, p), {}};
    x = named_map(m["conv_in"], conv2d(m["conv_in"], x, p.levels.front().channels));
    run.skips.push_back(x);
    return run;
}

// Entry `forward`: the full U-Net. With a cut, also outputs the map that `shallow` reuses.
void build_forward(model_ref m, const input_shapes & inputs, const config & run_params, const params & p,
                   const unet_cut * cut) {
    tensor x = nullptr;
    pass run = begin_pass(m, inputs, run_params, p, x);
    for (int64_t i = 0; i < run.count(); ++i) {
        x = down_block(m["down_blocks"][i], x, i, p.levels[i].layers, true, run);
    }
    x = mid_block(m["mid_block"], x, run.c, p);
    map_output(m, "sample", up_path(m, x, run.count() - 1, 0, run, cut));
}

// Entry `shallow`: only the layers above the cut, with the map "deep" of an earlier evaluation as an input.
void build_shallow(model_ref m, const input_shapes & inputs, const config & run_params, const params & p,
                   const unet_cut & cut) {
    tensor x = nullptr;
    pass run = begin_pass(m, inputs, run_params, p, x);
    for (int64_t i = 0; i <= cut.level; ++i) {
        x = down_block(m["down_blocks"][i], x, i, i < cut.level ? p.levels[i].layers : cut.layer,
                       i < cut.level, run);
    }
    x = map_input(m, "deep", inputs.at("deep"));
    int64_t first = p.levels[cut.level].layers - cut.layer;
    map_output(m, "sample", up_path(m, x, cut.level, first, run, nullptr));
}

class unet_architecture : public architecture {
  public:
    explicit unet_architecture(params p) : p_(std::move(p)) {}

    std::vector<std::string> entries() const override { return {"forward", "shallow", "texts"}; }

    void build(graph & g, const std::string & entry, const input_shapes & inputs,
               const config & run_params) const override {
        if (entry == "texts") {
            check_context_input(inputs, p_);
            return build_cross_attention_cache(model_ref(g), inputs, p_);
        }
        bool cuts = entry == "shallow" || (entry == "forward" && run_params.has("branch"));
        if (!cuts && entry != "forward") throw_unknown_entry(entry);
        unet_cut cut = cuts ? cut_at_branch(run_params.integer("branch"), p_) : unet_cut{};
        check_unet_inputs(inputs, run_params, p_, entry == "shallow" ? &cut : nullptr);
        if (entry == "shallow") return build_shallow(model_ref(g), inputs, run_params, p_, cut);
        build_forward(model_ref(g), inputs, run_params, p_, cuts ? &cut : nullptr);
    }

    void build_all(graph & g) const override { build(g, "forward", smallest_unet_inputs(p_), {}); }

  private:
    params p_;
};

}  // namespace

std::unique_ptr<architecture> make_unet(const config & cfg) {
    return std::make_unique<unet_architecture>(read_unet_params(cfg));
}

}  // namespace safelight
