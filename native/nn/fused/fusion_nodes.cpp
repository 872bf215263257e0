// Nodes of the fused operations chosen in fusion.cpp. Each passes its tensors to a kernel.

#include <algorithm>

#include "nn/fused/fusion.h"
#include "nn/fused/kernel_node.h"
#include "nn/fused/packed_weight.h"

namespace safelight {
namespace {

void add_source(std::vector<tensor> & sources, tensor x) {
    if (x && std::find(sources.begin(), sources.end(), x) == sources.end()) sources.push_back(x);
}

std::vector<tensor> collect_sources(const prologue & p) {
    std::vector<tensor> sources;
    for (tensor x : {p.x, p.scale_shift, p.gamma, p.beta}) add_source(sources, x);
    return sources;
}

// Returns the arguments for reading the input; `rows_per_batch` is the number of pixels or positions per
// item.
kernels::gemm_args input_args(const prologue & in, int64_t rows_per_batch) {
    kernels::gemm_args a{};
    a.depth = a.ldx = in.x->ne[0];
    a.rows = ggml_nelements(in.x) / in.x->ne[0];
    a.x = float_data(in.x);
    a.scale_shift = float_data(in.scale_shift);
    a.rows_per_batch = rows_per_batch;
    a.silu = in.silu;
    a.norm_gamma = float_data(in.gamma);
    a.norm_beta = float_data(in.beta);
    a.norm_eps = in.eps;
    return a;
}

// Returns the number of rows per item of the batch, which share a GroupNorm scale and shift and a time
// embedding.
int64_t rows_per_batch(const prologue & in, tensor add) {
    int64_t rows = ggml_nelements(in.x) / in.x->ne[0];
    int64_t batch = in.scale_shift ? in.scale_shift->ne[2] : add ? add->ne[1] : 1;
    return rows / batch;
}

kernels::rectifier rectifier_of(const product & p) {
    kernels::rectifier rect = p.rect;
    rect.channels = float_data(p.slopes);
    return rect;
}

kernels::conv3x3_args conv_args(const product & p, tensor out) {
    kernels::conv3x3_args a{};
    a.batch = out->ne[3];
    a.height = out->ne[2];
    a.width = out->ne[1];
    a.cin = p.in.x->ne[0];
    a.cout = p.out;
    a.x = p.parts.empty() ? float_data(p.in.x) : nullptr;
    a.y = static_cast<float *>(out->data);
    a.w = kernel_weights(p.w, p.out);
    a.bias = float_data(p.bias);
    a.scale_shift = float_data(p.in.scale_shift);
    a.silu = p.in.silu;
    a.add = float_data(p.add);
    a.residual = float_data(p.residual);
    a.rect = rectifier_of(p);
    a.residual2 = float_data(p.residual2);
    a.scale = p.scale;
    a.residual_scale = p.residual_scale;
    a.wraps = p.wraps;
    a.precision = p.precision;
    for (tensor part : p.parts) a.parts[a.part_count++] = {float_data(part), part->ne[0]};
    return a;
}

void run_conv3x3(const product & p, const packed_weight * packed, tensor out, const kernels::team & team) {
    kernels::conv3x3_args a = conv_args(p, out);
    if (packed) {
        a.packed = packed->data();
        // The weight of a product may stay in bf16.
        if (kernels::is_product(a)) a.precision = packed->precision();
    }
    kernels::active().conv3x3(a, team);
}

void run_gemm(const product & p, const packed_weight * packed, tensor out, const kernels::team & team) {
    kernels::gemm_args a = input_args(p.in, rows_per_batch(p.in, p.add));
    a.rows = ggml_nelements(out) / out->ne[0];
    a.columns = p.out;
    a.y = static_cast<float *>(out->data);
    a.ldy = out->ne[0];
    a.w = kernel_weights(p.w, p.out);
    a.bias = float_data(p.bias);
    a.act = p.act;
    a.add = float_data(p.add);
    a.residual = float_data(p.residual);
    a.rect = rectifier_of(p);
    a.precision = packed ? packed->precision() : p.precision;
    a.packed = packed ? packed->data() : nullptr;
    if (p.second_in) {
        a.second = {float_data(p.second_in), p.second_in->ne[0], p.second_in->ne[0],
                    kernel_weights(p.second_w, p.out)};
    }
    if (p.kind == product_kind::convolution && p.kernel > 1) {
        a.conv = {p.in.x->ne[2], p.in.x->ne[1], p.in.x->ne[0], p.kernel, p.stride,
                  p.pad_begin,   out->ne[2],    out->ne[1],    p.wraps};
        a.depth = p.in.x->ne[0] * p.kernel * p.kernel;
        a.rows_per_batch = out->ne[2] * out->ne[1];
    }
    kernels::active().gemm(a, team);
}

// Returns true for products whose weights are packed: those of the module itself, without patches.
bool reads_packed(model_ref m, const product & p) {
    return p.precision != kernels::precision::f32 && m.g().own_weights.count(p.w->data) > 0;
}

}  // namespace

tensor emit(model_ref m, const prologue & p) {
    tensor y = kernel_node(m.g(), p.x->ne, collect_sources(p), [p](tensor out, const kernels::team & team) {
        kernels::gemm_args a = input_args(p, rows_per_batch(p, nullptr));
        a.y = static_cast<float *>(out->data);
        a.ldy = out->ne[0];
        kernels::active().rows(a, team);
    });
    fusion_of(m).prologues[y] = p;
    return y;
}

tensor emit(model_ref m, const product & p) {
    std::vector<tensor> sources = p.parts.empty() ? collect_sources(p.in) : p.parts;
    for (tensor x : {p.w, p.bias, p.slopes, p.add, p.residual, p.residual2, p.second_in, p.second_w}) {
        add_source(sources, x);
    }
    const bool winograd = p.winograd();
    const auto packed = std::make_shared<std::shared_ptr<const packed_weight>>();
    tensor y = kernel_node(m.g(), p.ne, sources, [=](tensor out, const kernels::team & team) {
        winograd ? run_conv3x3(p, packed->get(), out, team) : run_gemm(p, packed->get(), out, team);
    });
    if (reads_packed(m, p)) {
        const bool keep = m.g().opts().packs_weights;
        // All weights are packed for large maps.
        const bool as_product =
            !winograd || (!m.g().opts().packs_all_weights && kernels::is_product(conv_args(p, y)));
        const kernels::precision precision = as_product ? p.precision : kernels::precision::bf16;
        const std::string name = m.g().own_weights.at(p.w->data);
        m.g().preparations[y] = {p.w->data, [=](prepared_weights & weights) {
                                     *packed = request_packed(weights, p, precision, name, keep);
                                 }};
    }
    auto & products = fusion_of(m).products;
    product & stored = products[y] = p;
    stored.order = products.size();
    return y;
}

tensor group_norm_scale_shift(model_ref m, tensor x, tensor gamma, tensor beta, int64_t groups, float eps) {
    int64_t channels = x->ne[0], pixels = x->ne[1] * x->ne[2], batch = x->ne[3];
    const int64_t partial_ne[4] = {2, groups, kernels::group_norm_chunks(pixels), batch};
    auto args = [=](tensor partial, tensor scale_shift) {
        return kernels::group_norm_args{batch,
                                        pixels,
                                        channels,
                                        groups,
                                        eps,
                                        float_data(x),
                                        float_data(gamma),
                                        float_data(beta),
                                        const_cast<float *>(float_data(partial)),
                                        const_cast<float *>(float_data(scale_shift))};
    };
    tensor partial = kernel_node(m.g(), partial_ne, {x}, [=](tensor out, const kernels::team & team) {
        kernels::active().group_norm_partial(args(out, nullptr), team);
    });
    const int64_t ne[4] = {channels, 2, batch, 1};
    return kernel_node(m.g(), ne, {partial, gamma, beta}, [=](tensor out, const kernels::team & team) {
        kernels::active().group_norm_fold(args(partial, out), team);
    });
}

tensor modulated_scale_shift(model_ref m, tensor scale_shift, tensor modulation) {
    auto run = [=](tensor out, const kernels::team & team) {
        if (team.index != 0) return;  // one thread suffices for a few thousand numbers
        int64_t c = out->ne[0];
        float * to = static_cast<float *>(out->data);
        for (int64_t b = 0; b < out->ne[2]; ++b) {
            const float * from = float_data(scale_shift) + b * 2 * c;
            const float * change = float_data(modulation) + b * 2 * c;
            for (int64_t i = 0; i < c; ++i) {
                to[b * 2 * c + i] = from[i] * (1 + change[i]);
                to[b * 2 * c + c + i] = from[c + i] * (1 + change[i]) + change[c + i];
            }
        }
    };
    return kernel_node(m.g(), scale_shift->ne, {scale_shift, modulation}, run);
}

}  // namespace safelight
