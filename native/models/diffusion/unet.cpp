#include "models/diffusion/unet.h"

#include "nn/conv.h"
#include "nn/layout.h"
#include "nn/resample.h"

namespace safelight {
namespace {

using params = unet_params;
using conditions = unet_conditioning;

resnet_options resnet_of(const params & p, resampling resample = {}) {
    return {.norm = p.norm, .scale_shift = p.scale_shift, .resample = resample};
}

tensor attention_of(model_ref m, tensor x, const conditions & c, const unet_level & level, const params & p) {
    if (p.transformers) return spatial_transformer(m, x, c.text, level, p.norm.groups);
    return attention_block(m, x, {.heads = level.heads, .norm = p.norm});
}

tensor resnet_and_attention(model_ref m, int64_t i, tensor x, const conditions & c, const unet_level & level,
                            bool attention, const params & p) {
    x = resnet_block(m["resnets"][i], x, c.emb, level.channels, resnet_of(p));
    return attention ? attention_of(m["attentions"][i], x, c, level, p) : x;
}

tensor downsample(model_ref m, tensor x, const conditions & c, const unet_level & level, const params & p) {
    if (level.resnet_down)
        return resnet_block(m, x, c.emb, level.channels, resnet_of(p, {.kind = resampling::halve}));
    int padding = static_cast<int>(p.downsample_padding);
    if (padding == 0) x = pad_bottom_right(m, x);
    return named_map(m, conv2d(m["conv"], x, level.channels, {.kernel = 3, .stride = 2, .padding = padding}));
}

tensor enlarge(model_ref m, tensor x, const conditions & c, const unet_level & level, const map_dims & to,
               const params & p) {
    if (!level.resnet_up) return upsample(m, x, to.height, to.width);
    resampling size{resampling::enlarge, to.height, to.width};
    return resnet_block(m, x, c.emb, level.channels, resnet_of(p, size));
}

// One evaluation: the maps that the up path reads again are kept on the way down.
struct pass {
    const params & p;
    conditions c;
    std::vector<tensor> skips;

    int64_t count() const { return static_cast<int64_t>(p.levels.size()); }
};

// The first `layers` residual blocks of a level, and what leads to the next one if it goes on.
tensor down_block(model_ref m, tensor x, int64_t i, int64_t layers, bool on, pass & run) {
    const unet_level & level = run.p.levels[i];
    for (int64_t j = 0; j < layers; ++j) {
        x = resnet_and_attention(m, j, x, run.c, level, level.down_attention, run.p);
        run.skips.push_back(x);
    }
    if (on && i + 1 < run.count()) {
        x = downsample(m["downsamplers"][0], x, run.c, level, run.p);
        run.skips.push_back(x);
    }
    return named_map(m, x);
}

tensor mid_block(model_ref m, tensor x, const conditions & c, const params & p) {
    if (p.mid_resnets == 0) return x;
    const unet_level & level = p.levels.back();
    resnet_options o = resnet_of(p);
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

// The residual blocks of a level from the `first` on, taking from the skips in reverse order; `keep` gives
// out what goes into the one at `kept`. A map is upsampled to the size of the next skip, which is odd where
// the down path met an odd size.
tensor up_block(model_ref m, tensor x, int64_t i, int64_t first, pass & run, const unet_cut * kept) {
    const unet_level & level = run.p.levels[i];
    for (int64_t j = first; j < level.layers + 1; ++j) {
        if (kept && kept->level == i && kept->layer == level.layers - j) map_output(m, "deep", x);
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

// From level `i` on to the finest, beginning at its residual block `first`.
tensor up_path(model_ref m, tensor x, int64_t i, int64_t first, pass & run, const unet_cut * kept) {
    for (; i >= 0; --i, first = 0) {
        x = up_block(m["up_blocks"][run.count() - 1 - i], x, i, first, run, kept);
    }
    return convolution_out(m, x, run.p.out_channels, run.p.norm);
}

pass begin(model_ref m, const input_shapes & inputs, const config & how, const params & p, tensor & x) {
    x = map_input(m, "sample", inputs.at("sample"));
    pass run{p, build_conditioning(m, inputs, how, p), {}};
    x = named_map(m["conv_in"], conv2d(m["conv_in"], x, p.levels.front().channels));
    run.skips.push_back(x);
    return run;
}

// All of it; with a cut also what a later evaluation can go on from.
void whole(model_ref m, const input_shapes & inputs, const config & how, const params & p,
           const unet_cut * kept) {
    tensor x = nullptr;
    pass run = begin(m, inputs, how, p, x);
    for (int64_t i = 0; i < run.count(); ++i) {
        x = down_block(m["down_blocks"][i], x, i, p.levels[i].layers, true, run);
    }
    x = mid_block(m["mid_block"], x, run.c, p);
    map_output(m, "sample", up_path(m, x, run.count() - 1, 0, run, kept));
}

// Only what lies above the cut; what comes from below it was kept by an earlier evaluation.
void shallow(model_ref m, const input_shapes & inputs, const config & how, const params & p,
             const unet_cut & cut) {
    tensor x = nullptr;
    pass run = begin(m, inputs, how, p, x);
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
               const config & how) const override {
        if (entry == "texts") {
            check_texts(inputs, p_);
            return keep_texts(model_ref(g), inputs, p_);
        }
        bool cuts = entry == "shallow" || (entry == "forward" && how.has("branch"));
        if (!cuts && entry != "forward") unknown_entry(entry);
        unet_cut cut = cuts ? cut_of_branch(how.integer("branch"), p_) : unet_cut{};
        check_unet_inputs(inputs, how, p_, entry == "shallow" ? &cut : nullptr);
        if (entry == "shallow") return shallow(model_ref(g), inputs, how, p_, cut);
        whole(model_ref(g), inputs, how, p_, cuts ? &cut : nullptr);
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
