#include "nn/fused/fusion.h"

#include <algorithm>

namespace safelight {
namespace {

// Returns the product that produced x, to which more operations can be added; null for other tensors.
const product * find_product(model_ref m, tensor x) {
    const auto & products = fusion_of(m).products;
    auto producer = products.find(x);
    return producer == products.end() || producer->second.rect.on ? nullptr : &producer->second;
}

}  // namespace

bool fuses(model_ref m) {
    const graph::options & o = m.g().opts();
    return o.cpu && !o.stock_ops && !m.g().unfused();
}

kernels::precision precision_of(model_ref m) {
    if (m.g().full_precision > 0) return kernels::precision::f32;
    switch (m.g().opts().precision) {
        case product_precision::f32:
            return kernels::precision::f32;
        case product_precision::bf16:
            return kernels::precision::bf16;
        case product_precision::int8:
            return kernels::precision::int8;
    }
    return kernels::precision::f32;
}

kernels::precision precision_of_rows(model_ref m, int64_t rows) {
    const bool few = rows <= kernels::few_rows && !m.g().opts().packs_all_weights;
    return few ? kernels::precision::f32 : precision_of(m);
}

fusion & fusion_of(model_ref m) {
    if (!m.g().nn_state) m.g().nn_state = std::make_shared<fusion>();
    return *static_cast<fusion *>(m.g().nn_state.get());
}

prologue as_prologue(model_ref m, tensor x) {
    const auto & prologues = fusion_of(m).prologues;
    auto found = prologues.find(x);
    if (found != prologues.end()) return found->second;
    prologue plain;
    plain.x = x;
    return plain;
}

tensor reshape_fused(model_ref m, tensor x, int64_t ne0, int64_t ne1, int64_t ne2, int64_t ne3) {
    tensor y = ggml_reshape_4d(m.ctx(), x, ne0, ne1, ne2, ne3);
    fusion & f = fusion_of(m);
    auto p = f.prologues.find(x);
    if (p != f.prologues.end()) {
        prologue same = p->second;
        same.x = ggml_reshape_4d(m.ctx(), same.x, ne0, ne1, ne2, ne3);
        f.prologues[y] = same;
    }
    auto q = f.products.find(x);
    if (q != f.products.end() && q->second.kind == product_kind::linear && !q->second.residual) {
        product same = q->second;
        std::copy_n(y->ne, 4, same.ne);
        f.products[y] = same;
    }
    return y;
}

tensor with_silu_of_norm(model_ref m, tensor x) {
    prologue p = as_prologue(m, x);
    if (!fuses(m) || !p.scale_shift || p.silu) return nullptr;
    p.silu = true;
    return emit(m, p);
}

tensor with_activation(model_ref m, tensor x, kernels::activation act) {
    const product * producer = find_product(m, x);
    if (!producer || producer->residual || producer->act != kernels::activation::none || producer->kernel > 1)
        return nullptr;
    product p = *producer;
    p.act = act;
    if (act == kernels::activation::geglu) p.ne[0] /= 2;
    return emit(m, p);
}

tensor with_channel_sum(model_ref m, tensor x, tensor v) {
    const product * producer = find_product(m, x);
    if (!producer || producer->add || producer->residual || producer->act != kernels::activation::none)
        return nullptr;
    product p = *producer;
    p.add = v;
    return emit(m, p);
}

tensor with_rectifier(model_ref m, tensor x, float slope) {
    const product * producer = find_product(m, x);
    if (!producer || slope < 0 || slope > 1) return nullptr;
    product p = *producer;
    p.rect = {true, slope};
    return emit(m, p);
}

tensor with_channel_rectifier(model_ref m, tensor x, tensor slopes) {
    const product * producer = find_product(m, x);
    if (!producer) return nullptr;
    product p = *producer;
    p.rect = {true, 0};
    p.slopes = slopes;
    return emit(m, p);
}

tensor scaled_sum_with_product(model_ref m, tensor x, float scale, tensor y) {
    const product * producer = find_product(m, x);
    if (!producer || !producer->winograd() || producer->residual2) return nullptr;
    if (!ggml_are_same_shape(x, y) || !ggml_is_contiguous(y)) return nullptr;
    product p = *producer;
    p.scale *= scale;
    if (p.residual) {
        p.residual_scale *= scale;
        p.residual2 = y;
    } else {
        p.residual = y;
    }
    return emit(m, p);
}

tensor concatenated(model_ref m, tensor a, tensor b) {
    tensor y = ggml_concat(m.ctx(), a, b, 0);
    auto & concatenations = fusion_of(m).concatenations;
    std::vector<tensor> parts;
    for (tensor x : {a, b}) {
        auto known = concatenations.find(x);
        if (known == concatenations.end()) {
            parts.push_back(x);
        } else {
            parts.insert(parts.end(), known->second.begin(), known->second.end());
        }
    }
    concatenations[y] = parts;
    return y;
}

std::vector<tensor> readable_parts(model_ref m, tensor x) {
    const auto & concatenations = fusion_of(m).concatenations;
    auto found = concatenations.find(x);
    if (found == concatenations.end() || found->second.size() > kernels::max_parts) return {};
    const std::vector<tensor> & parts = found->second;
    for (size_t i = 0; i < parts.size(); ++i) {
        bool aligned = i + 1 == parts.size() || parts[i]->ne[0] % kernels::part_granularity == 0;
        if (!aligned || !ggml_is_contiguous(parts[i])) return {};
    }
    return parts;
}

tensor sum_with_product(model_ref m, tensor a, tensor b) {
    if (!ggml_are_same_shape(a, b)) return nullptr;
    const auto open_product = [&](tensor x, tensor other) {
        const product * producer = find_product(m, x);
        return producer && !producer->residual && ggml_is_contiguous(other) ? producer : nullptr;
    };
    const product * first = open_product(a, b);
    const product * second = open_product(b, a);
    if (!first && !second) return nullptr;
    bool extends_second = !first || (second && second->order > first->order);
    product p = extends_second ? *second : *first;
    p.residual = extends_second ? a : b;
    return emit(m, p);
}

}  // namespace safelight
