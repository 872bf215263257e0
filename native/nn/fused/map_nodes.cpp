// Nodes of attention and of operations on maps that are not fused with others. Each passes its tensors to a
// kernel.

#include <cmath>

#include "nn/fused/fusion.h"
#include "nn/fused/kernel_node.h"

namespace safelight {

tensor emit_attention(model_ref m, tensor q, tensor k, tensor v, int64_t heads, bool causal) {
    const kernels::precision precision = precision_of(m);
    return kernel_node(m.g(), q->ne, {q, k, v}, [=](tensor out, const kernels::team & team) {
        kernels::attention_args a{};
        a.batch = q->ne[2];
        a.heads = heads;
        a.head_dim = q->ne[0] / heads;
        a.queries = q->ne[1];
        a.keys = k->ne[1];
        a.q = float_data(q);
        a.k = float_data(k);
        a.v = float_data(v);
        a.y = static_cast<float *>(out->data);
        a.ldq = a.ldk = a.ldv = a.ldy = q->ne[0];
        a.batch_q = a.batch_y = q->ne[0] * q->ne[1];
        a.batch_k = a.batch_v = k->ne[0] * k->ne[1];
        a.scale = 1 / std::sqrt(static_cast<float>(a.head_dim));
        a.causal = causal;
        a.precision = precision;
        kernels::active().attention(a, team);
    });
}

tensor emit_packed_attention(model_ref m, tensor qkv, int64_t heads, tensor bias, tensor mask) {
    const int64_t c = qkv->ne[0] / 3;
    const kernels::precision precision = precision_of(m);
    const int64_t ne[4] = {c, qkv->ne[1], qkv->ne[2], 1};
    std::vector<tensor> sources = {qkv};
    for (tensor x : {bias, mask})
        if (x) sources.push_back(x);
    return kernel_node(m.g(), ne, sources, [=](tensor out, const kernels::team & team) {
        kernels::attention_args a{};
        a.batch = out->ne[2];
        a.heads = heads;
        a.head_dim = c / heads;
        a.queries = a.keys = out->ne[1];
        a.q = float_data(qkv);
        a.k = a.q + c;
        a.v = a.q + 2 * c;
        a.y = static_cast<float *>(out->data);
        a.ldq = a.ldk = a.ldv = 3 * c;
        a.ldy = c;
        a.batch_q = a.batch_k = a.batch_v = 3 * c * a.keys;
        a.batch_y = c * a.queries;
        a.scale = 1 / std::sqrt(static_cast<float>(a.head_dim));
        a.bias = float_data(bias);
        a.mask = float_data(mask);
        a.masks = mask ? mask->ne[3] : 0;
        a.precision = precision;
        kernels::active().attention(a, team);
    });
}

tensor emit_depthwise(model_ref m, tensor x, tensor w, tensor bias) {
    return kernel_node(m.g(), x->ne, {x, w, bias}, [=](tensor out, const kernels::team & team) {
        kernels::active().depthwise3x3({x->ne[3], x->ne[2], x->ne[1], x->ne[0], float_data(x),
                                        static_cast<float *>(out->data), float_data(w), float_data(bias)},
                                       team);
    });
}

tensor emit_upsample(model_ref m, tensor x, int64_t height, int64_t width) {
    const int64_t ne[4] = {x->ne[0], width, height, x->ne[3]};
    return kernel_node(m.g(), ne, {x}, [=](tensor out, const kernels::team & team) {
        kernels::active().upsample({x->ne[3], x->ne[2], x->ne[1], height, width, x->ne[0], float_data(x),
                                    static_cast<float *>(out->data)},
                                   team);
    });
}

}  // namespace safelight
