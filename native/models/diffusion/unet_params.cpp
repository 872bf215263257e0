#include <algorithm>

#include "models/diffusion/unet.h"

namespace safelight {
namespace {

constexpr size_t max_levels = 12;
constexpr int64_t max_transformers = 2048;  // SDXL has 70

std::vector<bool> optional_booleans(const config & cfg, const char * key, size_t count) {
    return cfg.has(key) ? config_booleans(cfg, key, count) : std::vector<bool>(count, false);
}

std::vector<unet_level> read_levels(const config & cfg) {
    size_t count = cfg.integers("block_out_channels").size();
    if (count < 1 || count > max_levels) {
        throw error("UNSUPPORTED_MODEL",
                    "Expected 1 to " + std::to_string(max_levels) +
                        " levels in block_out_channels in the model's config but found " +
                        std::to_string(count));
    }
    auto channels = config_integers(cfg, "block_out_channels", count, 1, 1 << 14);
    auto layers = config_integers(cfg, "layers_per_block", count, 1, 16);
    auto down = config_booleans(cfg, "down_attention", count);
    auto up = config_booleans(cfg, "up_attention", count);
    auto depth = config_integers(cfg, "transformer_layers_per_block", count, 0, 128);
    auto heads = config_integers(cfg, "num_attention_heads", count, 0, 1 << 10);
    auto resnet_down = optional_booleans(cfg, "resnet_downsample", count);
    auto resnet_up = optional_booleans(cfg, "resnet_upsample", count);
    std::vector<unet_level> levels(count);
    for (size_t i = 0; i < count; ++i) {
        size_t mirrored = count - 1 - i;
        levels[i] = {channels[i],    layers[i],           down[i],  up[mirrored],
                     resnet_down[i], resnet_up[mirrored], depth[i], heads[i]};
    }
    return levels;
}

void check_attention(const unet_level & level, bool transformers) {
    if (level.heads < 1 || (transformers && level.depth < 1)) {
        throw error("UNSUPPORTED_MODEL",
                    "Expected at least 1 transformer block and 1 head at each level with attention");
    }
    require_divides(level.heads, "num_attention_heads", level.channels, "block_out_channels");
}

void check_levels(const unet_params & p) {
    int64_t transformers = 0;
    for (const unet_level & level : p.levels) {
        require_divides(p.norm.groups, "norm_num_groups", level.channels, "block_out_channels");
        bool is_mid = &level == &p.levels.back() && p.mid_attention;
        if (!level.down_attention && !level.up_attention && !is_mid) continue;
        check_attention(level, p.transformers);
        transformers += level.depth * (2 * level.layers + 2);
    }
    if (transformers > max_transformers) {
        throw error("UNSUPPORTED_MODEL", "Expected at most " + std::to_string(max_transformers) +
                                             " transformer blocks but the config has " +
                                             std::to_string(transformers));
    }
}

std::optional<unet_addition> read_addition(const config & cfg) {
    if (!cfg.has("addition")) return std::nullopt;
    const config & addition = cfg.at("addition");
    return unet_addition{config_integer(addition, "time_embed_dim", 1, 1 << 14),
                         config_integer(addition, "input_dim", 2, 1 << 16)};
}

constexpr const char * class_kinds[] = {"table", "timestep", "identity", "projection"};

std::optional<unet_class_embedding> read_class_embedding(const config & cfg) {
    if (!cfg.has("class_embedding")) return std::nullopt;
    const config & embedding = cfg.at("class_embedding");
    const auto * kind = std::find(std::begin(class_kinds), std::end(class_kinds), embedding.text("type"));
    if (kind == std::end(class_kinds)) {
        throw error(
            "UNSUPPORTED_MODEL",
            "Expected table, timestep, identity or projection for the type of class_embedding but found " +
                embedding.text("type"));
    }
    unet_class_embedding out{};
    out.kind = static_cast<decltype(out.kind)>(kind - std::begin(class_kinds));
    bool sized = out.kind == unet_class_embedding::table || out.kind == unet_class_embedding::projection;
    out.size = sized ? config_integer(embedding, "size", 1, 1 << 24) : 0;
    return out;
}

// Reads the mid block: attention requires a residual block before and after it.
void read_mid(const config & cfg, unet_params & p) {
    p.mid_attention = cfg.boolean("mid_attention");
    p.mid_resnets = p.mid_attention ? 2 : 1;
    if (cfg.has("mid_resnets")) p.mid_resnets = config_integer(cfg, "mid_resnets", 0, 2);
    if (p.mid_attention && p.mid_resnets != 2) {
        throw error("UNSUPPORTED_MODEL", "Expected mid_resnets to be 2 if mid_attention is true");
    }
    p.mid_attention_groups = p.norm.groups;
    if (cfg.has("mid_attention_groups")) {
        p.mid_attention_groups = config_integer(cfg, "mid_attention_groups", 0, 1 << 14);
    }
    p.mid_scale = cfg.has("mid_block_scale_factor")
                      ? static_cast<float>(config_number(cfg, "mid_block_scale_factor", 1e-3, 1e3))
                      : 1.0f;
}

}  // namespace

unet_params read_unet_params(const config & cfg) {
    unet_params p{};
    p.in_channels = config_integer(cfg, "in_channels", 1, 1 << 12);
    p.out_channels = config_integer(cfg, "out_channels", 1, 1 << 12);
    p.transformers = !cfg.boolean("attention_blocks", false);
    p.context_dim = p.transformers ? config_integer(cfg, "cross_attention_dim", 1, 1 << 16) : 0;
    p.norm.groups = config_integer(cfg, "norm_num_groups", 1, 1 << 14);
    p.norm.eps = static_cast<float>(config_number(cfg, "norm_eps", 0, 1));
    read_mid(cfg, p);
    p.scale_shift = cfg.boolean("scale_shift_norm", false);
    p.downsample_padding =
        cfg.has("downsample_padding") ? config_integer(cfg, "downsample_padding", 0, 1) : 1;
    p.cosines_first = cfg.boolean("flip_sin_to_cos");
    p.freq_shift = config_number(cfg, "freq_shift", 0, 1);
    p.guidance_dim =
        cfg.has("time_cond_proj_dim") ? config_integer(cfg, "time_cond_proj_dim", 4, 1 << 14) : 0;
    p.addition = read_addition(cfg);
    p.label = read_class_embedding(cfg);
    p.levels = read_levels(cfg);
    check_levels(p);
    if (p.mid_attention && p.mid_attention_groups > 0) {
        require_divides(p.mid_attention_groups, "mid_attention_groups", p.levels.back().channels,
                        "block_out_channels");
    }
    // With fewer than 4 channels, the frequencies of the sinusoids would divide by zero.
    if (p.levels.front().channels < 4 || (p.addition && p.addition->time_embed_dim < 4)) {
        throw error("UNSUPPORTED_MODEL",
                    "Expected at least 4 for the first value of block_out_channels and for time_embed_dim");
    }
    return p;
}

unet_cut cut_at_branch(int64_t branch, const unet_params & p) {
    constexpr int64_t branches_per_level = 3;
    int64_t count = static_cast<int64_t>(p.levels.size());
    if (branch < 0 || branch >= branches_per_level * count) {
        throw error("INVALID_OPTION", "Expected a branch between 0 and " +
                                          std::to_string(branches_per_level * count - 1) + " but received " +
                                          std::to_string(branch));
    }
    int64_t level = branch / branches_per_level;
    return {level, std::min(branch % branches_per_level, p.levels[level].layers)};
}

}  // namespace safelight
