#include "models/vqgan/lpips.h"

#include <array>
#include <vector>

#include "models/checks.h"
#include "nn/activation.h"
#include "nn/conv.h"
#include "nn/layout.h"
#include "nn/resample.h"

namespace safelight {
namespace {

constexpr size_t depths = 5;
constexpr float normalize_eps = 1e-10f;

// Indices of VGG16's 3x3 convolutions in torchvision's list of layers, one row per depth.
const std::array<std::vector<int>, depths> convolutions = {
    {{0, 2}, {5, 7}, {10, 12, 14}, {17, 19, 21}, {24, 26, 28}}};

struct params {
    std::vector<int64_t> channels;  // of the maps at each depth; 64, 128, 256, 512, 512 in VGG16
};

// Returns a weight with one number per channel, stored as [1, C, 1, 1] in files.
tensor channel_weight(model_ref m, std::string_view part, int64_t channels) {
    return m.weight(part, {1, channels}, weight_role::vector);
}

// (x - shift) / scale per channel: VGG16's input normalization, adapted to pixels in [-1, 1].
tensor scaled(model_ref m, tensor x) {
    int64_t c = dims_of_map(m, x).channels;
    x = subtract_channels(m, x, channel_weight(m["scaling_layer"], "shift", c));
    return divide_channels(m, x, channel_weight(m["scaling_layer"], "scale", c));
}

// Returns the map at the end of each depth.
std::vector<tensor> features(model_ref m, tensor x, const params & p) {
    std::vector<tensor> maps;
    for (size_t depth = 0; depth < depths; ++depth) {
        model_ref slice = m["net"]["slice" + std::to_string(depth + 1)];
        if (depth > 0) x = max_pool(m, x);
        for (int index : convolutions[depth]) {
            x = relu(m, named_map(slice[index], conv2d(slice[index], x, p.channels[depth])));
        }
        maps.push_back(sequence_from_map(m, x));
    }
    return maps;
}

// Normalizes each row of [B, T, C] to length 1.
tensor normalize_rows(ggml_context * ctx, tensor x) {
    tensor lengths = ggml_sqrt(ctx, ggml_sum_rows(ctx, ggml_sqr(ctx, x)));
    return ggml_div(ctx, x, ggml_scale_bias(ctx, lengths, 1.0f, normalize_eps));
}

// Returns the squared differences weighted by channel and averaged over the map: [B].
tensor distance_at(model_ref m, tensor a, tensor b) {
    ggml_context * ctx = m.ctx();
    tensor squares = ggml_sqr(ctx, ggml_sub(ctx, normalize_rows(ctx, a), normalize_rows(ctx, b)));
    tensor weighted = ggml_mul(ctx, squares, channel_weight(m["model"][1], "weight", a->ne[0]));
    tensor rows = ggml_reshape_2d(ctx, ggml_sum_rows(ctx, weighted), a->ne[1], a->ne[2]);
    return ggml_reshape_1d(ctx, ggml_mean(ctx, rows), a->ne[2]);
}

void build_compare(model_ref m, const shape & dims, const params & p) {
    std::vector<tensor> a = features(m, scaled(m, map_input(m, "a", dims)), p);
    std::vector<tensor> b = features(m, scaled(m, map_input(m, "b", dims)), p);
    tensor sum = nullptr, layers = nullptr;
    for (size_t depth = 0; depth < depths; ++depth) {
        tensor d = distance_at(m["lin" + std::to_string(depth)], a[depth], b[depth]);
        sum = sum ? ggml_add(m.ctx(), sum, d) : d;
        layers = layers ? ggml_concat(m.ctx(), layers, d, 0) : d;
    }
    m.g().output("distance", sum, {dims[0]});
    m.g().output("layers", layers, {static_cast<int64_t>(depths), dims[0]});
}

const shape & check(const input_shapes & inputs, const params & p) {
    constexpr int64_t smallest = 1 << (depths - 1);
    require_inputs(inputs, {"a", "b"});
    const shape & dims = input_shape(inputs, "a", {"B", "C", "H", "W"}, {any, 3, any, any});
    input_shape(inputs, "b", {"B", "C", "H", "W"}, dims);
    if (dims[2] < smallest || dims[3] < smallest) {
        throw error("SHAPE_MISMATCH", "Expected images of at least 16x16 pixels but received " +
                                          std::to_string(dims[3]) + "x" + std::to_string(dims[2]));
    }
    for (size_t i = 0; i < depths; ++i)
        require_countable({dims[0], p.channels[i], dims[2] >> i, dims[3] >> i});
    return dims;
}

class lpips : public architecture {
  public:
    explicit lpips(params p) : p_(std::move(p)) {}

    std::vector<std::string> entries() const override { return {"compare"}; }

    void build(graph & g, const std::string & entry, const input_shapes & inputs,
               const config &) const override {
        if (entry != "compare") throw_unknown_entry(entry);
        build_compare(model_ref(g), check(inputs, p_), p_);
    }

    void build_all(graph & g) const override {
        build(g, "compare", {{"a", {1, 3, 16, 16}}, {"b", {1, 3, 16, 16}}}, {});
    }

  private:
    params p_;
};

}  // namespace

std::unique_ptr<architecture> make_lpips(const config & cfg) {
    return std::make_unique<lpips>(params{config_integers(cfg, "channels", depths, 1, 1 << 12)});
}

}  // namespace safelight
