#include "models/vqgan/patch_discriminator.h"

#include <algorithm>
#include <vector>

#include "models/checks.h"
#include "nn/activation.h"
#include "nn/conv.h"
#include "nn/layout.h"
#include "nn/norm.h"

namespace safelight {
namespace {

constexpr float batch_norm_eps = 1e-5f;  // PyTorch's default
constexpr float slope = 0.2f;
constexpr int kernel = 4;

struct params {
    int64_t in_channels, base_channels, layers;
    bool actnorm;
};

// A convolution and its optional norm, which are at `index` and `index` + 1 of `main`.
struct stage {
    int64_t channels;
    int stride;
    int index;
    bool normed;
};

// The first stage has no norm, the last neither norm nor activation. Strides are 2 except in the last two.
std::vector<stage> stages_of(const params & p) {
    std::vector<stage> stages = {{p.base_channels, 2, 0, false}};
    int index = 2;
    for (int64_t n = 1; n <= p.layers; ++n, index += 3) {
        int64_t multiplier = std::min(int64_t(1) << n, int64_t(8));
        stages.push_back({p.base_channels * multiplier, n < p.layers ? 2 : 1, index, true});
    }
    stages.push_back({1, 1, index, false});
    return stages;
}

int64_t side_after(int64_t side, int stride) {
    return (side + 2 - kernel) / stride + 1;
}

tensor norm(model_ref m, tensor x, bool actnorm) {
    return actnorm ? act_norm(m, x) : batch_norm(m, x, batch_norm_eps);
}

void build_score(model_ref m, const shape & dims, const params & p) {
    tensor x = map_input(m, "image", dims);
    const std::vector<stage> stages = stages_of(p);
    for (const stage & s : stages) {
        model_ref conv = m["main"][s.index];
        conv_options o{.kernel = kernel, .stride = s.stride, .padding = 1};
        // taming omits the bias of convolutions before BatchNorm, which makes it redundant, but not before
        // ActNorm.
        o.bias = !s.normed || p.actnorm;
        x = named_map(conv, conv2d(conv, x, s.channels, o));
        if (s.normed) x = named_map(m["main"][s.index + 1], norm(m["main"][s.index + 1], x, p.actnorm));
        if (&s != &stages.back()) x = leaky_relu(m, x, slope);
    }
    map_output(m, "logits", x);
}

const shape & check(const input_shapes & inputs, const params & p) {
    require_inputs(inputs, {"image"});
    const shape & dims = input_shape(inputs, "image", {"B", "C", "H", "W"}, {any, p.in_channels, any, any});
    int64_t height = dims[2], width = dims[3];
    for (const stage & s : stages_of(p)) {
        if (height + 2 < kernel || width + 2 < kernel) {
            throw error("SHAPE_MISMATCH", "An image of " + std::to_string(dims[3]) + "x" +
                                              std::to_string(dims[2]) +
                                              " pixels is smaller than one patch of the discriminator");
        }
        height = side_after(height, s.stride);
        width = side_after(width, s.stride);
        require_countable({dims[0], s.channels, height, width});
    }
    return dims;
}

class patch_discriminator : public architecture {
  public:
    explicit patch_discriminator(const params & p) : p_(p) {}

    std::vector<std::string> entries() const override { return {"score"}; }

    void build(graph & g, const std::string & entry, const input_shapes & inputs,
               const config &) const override {
        if (entry != "score") throw_unknown_entry(entry);
        build_score(model_ref(g), check(inputs, p_), p_);
    }

    void build_all(graph & g) const override {
        int64_t side = int64_t(8) << p_.layers;  // at least the size of one patch
        build(g, "score", {{"image", {1, p_.in_channels, side, side}}}, {});
    }

  private:
    params p_;
};

}  // namespace

std::unique_ptr<architecture> make_patch_discriminator(const config & cfg) {
    params p{};
    p.in_channels = config_integer(cfg, "in_channels", 1, 1 << 12);
    p.base_channels = config_integer(cfg, "ndf", 1, 1 << 12);
    p.layers = config_integer(cfg, "n_layers", 1, 12);
    p.actnorm = cfg.boolean("use_actnorm");
    return std::make_unique<patch_discriminator>(p);
}

}  // namespace safelight
