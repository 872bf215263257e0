#include "models/checks.h"
#include "models/unet.h"

namespace safelight {
namespace {

constexpr size_t most_levels = 12;
constexpr int64_t most_transformers = 2048;  // SDXL has 70

std::vector<unet_level> read_levels(const config & cfg) {
    size_t count = cfg.integers("block_out_channels").size();
    if (count < 1 || count > most_levels) {
        throw error("UNSUPPORTED_MODEL", "Expected 1 to " + std::to_string(most_levels) +
                                             " levels in block_out_channels but found " +
                                             std::to_string(count));
    }
    auto channels = config_integers(cfg, "block_out_channels", count, 1, 1 << 14);
    auto layers = config_integers(cfg, "layers_per_block", count, 1, 16);
    auto down = config_booleans(cfg, "down_attention", count);
    auto up = config_booleans(cfg, "up_attention", count);
    auto depth = config_integers(cfg, "transformer_layers_per_block", count, 0, 128);
    auto heads = config_integers(cfg, "num_attention_heads", count, 0, 1 << 10);
    std::vector<unet_level> levels(count);
    for (size_t i = 0; i < count; ++i) {
        levels[i] = {channels[i], layers[i], down[i], up[count - 1 - i], depth[i], heads[i]};
    }
    return levels;
}

void check_attention(const unet_level & level) {
    if (level.depth < 1 || level.heads < 1) {
        throw error("UNSUPPORTED_MODEL",
                    "Expected at least 1 transformer block and 1 head at a level with attention");
    }
    require_divides(level.heads, "num_attention_heads", level.channels, "block_out_channels");
}

void check_levels(const unet_params & p) {
    int64_t transformers = 0;
    for (const unet_level & level : p.levels) {
        require_divides(p.norm.groups, "norm_num_groups", level.channels, "block_out_channels");
        bool is_mid = &level == &p.levels.back() && p.mid_attention;
        if (!level.down_attention && !level.up_attention && !is_mid) continue;
        check_attention(level);
        transformers += level.depth * (2 * level.layers + 2);
    }
    if (transformers > most_transformers) {
        throw error("UNSUPPORTED_MODEL", "Expected at most " + std::to_string(most_transformers) +
                                             " transformer blocks but the config asks for " +
                                             std::to_string(transformers));
    }
}

std::optional<unet_addition> read_addition(const config & cfg) {
    if (!cfg.has("addition")) return std::nullopt;
    const config & addition = cfg.at("addition");
    return unet_addition{config_integer(addition, "time_embed_dim", 1, 1 << 14),
                         config_integer(addition, "input_dim", 2, 1 << 16)};
}

}  // namespace

unet_params read_unet_params(const config & cfg) {
    unet_params p{};
    p.in_channels = config_integer(cfg, "in_channels", 1, 1 << 12);
    p.out_channels = config_integer(cfg, "out_channels", 1, 1 << 12);
    p.context_dim = config_integer(cfg, "cross_attention_dim", 1, 1 << 16);
    p.mid_attention = cfg.boolean("mid_attention");
    p.norm.groups = config_integer(cfg, "norm_num_groups", 1, 1 << 14);
    p.norm.eps = static_cast<float>(config_number(cfg, "norm_eps", 0, 1));
    p.cosines_first = cfg.boolean("flip_sin_to_cos");
    p.freq_shift = config_number(cfg, "freq_shift", 0, 1);
    p.addition = read_addition(cfg);
    p.levels = read_levels(cfg);
    check_levels(p);
    // Halves of one number would divide by zero in the sinusoid's frequencies.
    if (p.levels.front().channels < 4 || (p.addition && p.addition->time_embed_dim < 4)) {
        throw error("UNSUPPORTED_MODEL",
                    "Expected sinusoids of at least 4 numbers: the first level is too narrow");
    }
    return p;
}

}  // namespace safelight
