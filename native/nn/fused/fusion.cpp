#include "nn/fused/fusion.h"

#include <algorithm>

namespace safelight {
namespace {

const product * find_product(model_ref m, tensor x) {
    const auto & products = fusion_of(m).products;
    auto producer = products.find(x);
    return producer == products.end() ? nullptr : &producer->second;
}

}  // namespace

bool fuses(model_ref m) {
    const graph::options & o = m.g().opts();
    return o.cpu && !o.stock_ops && !m.g().unfused();
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
