#include <algorithm>

#include "models/diffusion/unet.h"

namespace safelight {
namespace {

using params = unet_params;

[[noreturn]] void too_small(const shape & sample, int64_t level) {
    throw error("SHAPE_MISMATCH", "Expected a larger sample: " + std::to_string(sample[3]) + "x" +
                                      std::to_string(sample[2]) + " cannot be halved at level " +
                                      std::to_string(level));
}

// Checks the largest activations of each level: concatenated with a skip, and in the transformers' GEGLU.
void check_activations(const shape & sample, const params & p) {
    int64_t height = sample[2], width = sample[3], previous = p.levels.front().channels;
    for (size_t i = 0; i < p.levels.size(); ++i) {
        const unet_level & level = p.levels[i];
        int64_t concatenated = 2 * std::max(level.channels, previous);
        require_countable({sample[0], std::max(8 * level.channels, concatenated), height, width});
        height = halved(height, level, p);
        width = halved(width, level, p);
        if (i + 1 < p.levels.size() && (height < 1 || width < 1)) too_small(sample, static_cast<int64_t>(i));
        previous = level.channels;
    }
}

void check_addition(const input_shapes & inputs, int64_t batch, const unet_addition & a) {
    int64_t count = input_shape(inputs, "time_ids", {"B", "N"}, {batch, any})[1];
    require_countable({batch, count, a.time_embed_dim});
    int64_t pooled = a.input_dim - count * a.time_embed_dim;
    if (pooled < 1) {
        throw error("SHAPE_MISMATCH", "Expected fewer time_ids than " + std::to_string(count) +
                                          ": add_embedding has " + std::to_string(a.input_dim) + " inputs");
    }
    input_shape(inputs, "text_embeds", {"B", "P"}, {batch, pooled});
}

// Returns the shape of class_labels: one number per sample, or a vector for `identity` and `projection`.
shape labels_shape(int64_t batch, const params & p) {
    switch (p.label->kind) {
        case unet_class_embedding::identity:
            return {batch, 4 * p.levels.front().channels};
        case unet_class_embedding::projection:
            return {batch, p.label->size};
        default:
            return {batch};
    }
}

void check_keys(int64_t batch, int64_t length, const params & p) {
    for (const unet_level & level : p.levels) require_countable({batch, length, level.channels});
}

// Returns the number of states of earlier evaluations.
int64_t state_count(const config & run_params) {
    constexpr int64_t most = 64;
    const int64_t count = run_params.integer("states", 1);
    if (count >= 1 && count <= most) return count;
    throw error("INVALID_OPTION", "Expected an integer between 1 and " + std::to_string(most) +
                                      " for states but received " + std::to_string(count));
}

// Throws SHAPE_MISMATCH unless a batch can be divided into `count` parts.
void require_batch_of(int64_t batch, int64_t count) {
    if (batch % count == 0) return;
    throw error("SHAPE_MISMATCH", "Expected a multiple of " + std::to_string(count) +
                                      " for the batch of end but received " + std::to_string(batch));
}

void check_cached_texts(const config & run_params) {
    constexpr int64_t largest = 1 << 20;
    for (const char * field : {"texts", "text_length"}) {
        int64_t n = run_params.integer(field);
        if (n < 1 || n > largest)
            throw error("INVALID_OPTION", "Expected integer between 1 and " + std::to_string(largest) +
                                              " for " + field + " but received " + std::to_string(n));
    }
}

void check_conditioning(const input_shapes & inputs, int64_t batch, const config & run_params,
                        const params & p, bool has_text) {
    input_shape(inputs, "timestep", {"B"}, {batch});
    if (p.guidance_dim > 0) input_shape(inputs, "guidance", {"B"}, {batch});
    if (!has_text) {
        // The outputs of cross-attention replace the text.
    } else if (p.transformers && run_params.has("texts")) {
        check_cached_texts(run_params);
        input_shape(inputs, "text", {"B"}, {batch});
        check_keys(std::max(batch, run_params.integer("texts")), run_params.integer("text_length"), p);
    } else if (p.transformers) {
        check_keys(batch, input_shape(inputs, "context", {"B", "T", "D"}, {batch, any, p.context_dim})[1], p);
    }
    if (p.label) {
        shape labels = labels_shape(batch, p);
        input_shape(inputs, "class_labels", labels.size() > 1 ? std::vector{"B", "P"} : std::vector{"B"},
                    labels);
    }
    if (p.addition) check_addition(inputs, batch, *p.addition);
}

}  // namespace

// A padded convolution rounds up; an unpadded convolution and averaging round down.
int64_t halved(int64_t side, const unet_level & level, const params & p) {
    return level.resnet_down || p.downsample_padding == 0 ? side / 2 : (side + 1) / 2;
}

shape shape_in_level(int64_t level, const shape & sample, const params & p) {
    int64_t height = sample[2], width = sample[3];
    for (int64_t i = 0; i < level; ++i) {
        height = halved(height, p.levels[i], p);
        width = halved(width, p.levels[i], p);
    }
    return {sample[0], p.levels[level].channels, height, width};
}

shape shape_at_cut(const unet_cut & cut, const shape & sample, const params & p) {
    const shape map = shape_in_level(cut.level, sample, p);
    // The first block's input comes from the coarser level or the mid block and has its number of channels.
    int64_t count = static_cast<int64_t>(p.levels.size());
    bool from_below = cut.layer == p.levels[cut.level].layers;
    const unet_level & source = p.levels[std::min(cut.level + (from_below ? 1 : 0), count - 1)];
    return {sample[0], source.channels, map[2], map[3]};
}

namespace {

// Checks and removes the outputs of cross-attention from the inputs.
void take_cross_attention(input_shapes & inputs, int64_t count, const params & p) {
    const shape sample = input_shape(inputs, "sample", {"B", "C", "H", "W"}, {any, p.in_channels, any, any});
    for (const auto & [prefix, level] : cross_attention_layers(p)) {
        const shape map = shape_in_level(level, sample, p);
        const std::string name = cross_attention_output(prefix);
        input_shape(inputs, name.c_str(), {"B", "T", "C"}, {count * map[0], map[2] * map[3], map[1]});
        inputs.erase(name);
    }
}

}  // namespace

void check_unet_inputs(const input_shapes & received, const config & run_params, const params & p,
                       unet_reuse reuse, const unet_cut & cut) {
    input_shapes inputs = received;
    const bool has_text = p.transformers && reuse != unet_reuse::cross;
    const bool combines = run_params.has("states") && reuse != unet_reuse::none && reuse != unet_reuse::head;
    const int64_t count = combines ? state_count(run_params) : 1;
    std::vector<const char *> names, optional;
    if (combines) {
        names.push_back("weights");
        input_shape(inputs, "weights", {"N"}, {count});
    }
    if (reuse == unet_reuse::end) {
        names.push_back("end");
        require_inputs(inputs, names);
        const shape & end =
            input_shape(inputs, "end", {"B", "C", "H", "W"}, {any, p.levels.front().channels, any, any});
        require_batch_of(end[0], count);
        return require_countable(end);
    }
    if (reuse == unet_reuse::cross) take_cross_attention(inputs, count, p);
    names.insert(names.end(), {"sample", "timestep"});
    if (has_text) names.push_back(run_params.has("texts") ? "text" : "context");
    if (p.label) names.push_back("class_labels");
    if (p.guidance_dim > 0) names.push_back("guidance");
    if (p.addition) names.insert(names.end(), {"text_embeds", "time_ids"});
    if (reuse == unet_reuse::deep) names.push_back("deep");
    if (reuse == unet_reuse::head) optional.push_back("previous");
    require_inputs(inputs, names, optional);
    const shape & sample =
        input_shape(inputs, "sample", {"B", "C", "H", "W"}, {any, p.in_channels, any, any});
    check_activations(sample, p);
    check_conditioning(inputs, sample[0], run_params, p, has_text);
    if (reuse == unet_reuse::deep) {
        shape deep = shape_at_cut(cut, sample, p);
        deep[0] *= count;
        require_countable(deep);
        input_shape(inputs, "deep", {"B", "C", "H", "W"}, deep);
    }
    if (inputs.count("previous"))
        input_shape(inputs, "previous", {"B", "C", "H", "W"}, shape_in_level(0, sample, p));
}

void check_context_input(const input_shapes & inputs, const params & p) {
    if (!p.transformers) throw error("INVALID_OPTION", "This U-Net has no cross-attention to text");
    require_inputs(inputs, {"context"});
    const shape & context = input_shape(inputs, "context", {"N", "T", "D"}, {any, any, p.context_dim});
    check_keys(context[0], context[1], p);
}

input_shapes smallest_unet_inputs(const params & p) {
    int64_t side = 1;
    for (size_t i = 0; i + 1 < p.levels.size(); ++i) {
        if (p.levels[i].resnet_down || p.downsample_padding == 0) side *= 2;
    }
    input_shapes inputs{{"sample", {1, p.in_channels, side, side}}, {"timestep", {1}}};
    if (p.transformers) inputs["context"] = {1, 1, p.context_dim};
    if (p.label) inputs["class_labels"] = labels_shape(1, p);
    if (p.guidance_dim > 0) inputs["guidance"] = {1};
    if (p.addition) {
        const auto [width, all] = *p.addition;
        int64_t numbers = std::min<int64_t>(6, (all - 1) / width);
        if (numbers < 1)
            throw error("UNSUPPORTED_MODEL",
                        "Expected input_dim to be larger than time_embed_dim, to contain the pooled text "
                        "embedding and time_ids");
        inputs["time_ids"] = {1, numbers};
        inputs["text_embeds"] = {1, all - numbers * width};
    }
    return inputs;
}

}  // namespace safelight
