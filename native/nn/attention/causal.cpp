#include "nn/attention/causal.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "nn/attention/attention.h"
#include "nn/fused/fusion.h"
#include "nn/fused/kernel_node.h"
#include "nn/layout.h"

namespace safelight {
namespace {

int32_t read_position(const graph::host_data & data, const std::string & input) {
    return input.empty() ? 0 : *static_cast<const int32_t *>(data.at(input));
}

tensor make_mask(model_ref m, const causal_view & v, const std::string & input) {
    auto fill = [v, input](const graph::host_data & data, void * to) {
        float * mask = static_cast<float *>(to);
        const int64_t position = read_position(data, input);
        for (int64_t row = 0; row < v.queries; ++row) {
            const int64_t visible = std::max(position + row + 1, std::min(v.unmasked, position + v.queries));
            for (int64_t key = 0; key < v.keys; ++key) {
                mask[row * v.keys + key] = key < visible ? 0.0f : -std::numeric_limits<float>::infinity();
            }
        }
    };
    return m.g().computed(GGML_TYPE_F32, {v.queries, v.keys}, fill);
}

// Our kernel reads the position during the run and no keys after it.
tensor emit_causal(model_ref m, tensor q, tensor k, tensor v, int64_t heads, const causal_view & view) {
    std::vector<tensor> sources = {q, k, v};
    if (view.position) sources.push_back(view.position);
    return kernel_node(m.g(), q->ne, sources, [=](tensor out, const kernels::team & team) {
        const int64_t width = q->ne[0];
        kernels::attention_args a{};
        a.batch = q->ne[2];
        a.heads = heads;
        a.head_dim = width / heads;
        a.queries = q->ne[1];
        a.causal = true;
        a.past = view.position ? *static_cast<const int32_t *>(view.position->data) : 0;
        a.keys = a.past + a.queries;
        a.unmasked = view.unmasked;
        a.q = static_cast<const float *>(q->data);
        a.k = static_cast<const float *>(k->data);
        a.v = static_cast<const float *>(v->data);
        a.y = static_cast<float *>(out->data);
        a.ldq = a.ldk = a.ldv = a.ldy = width;
        a.batch_q = a.batch_y = width * q->ne[1];
        a.batch_k = a.batch_v = width * k->ne[1];
        a.scale = 1 / std::sqrt(static_cast<float>(a.head_dim));
        kernels::active().attention(a, team);
    });
}

}  // namespace

causal_view causal(model_ref m, int64_t length, int64_t unmasked) {
    causal_view v{length, length, unmasked};
    if (!fuses(m)) v.mask = make_mask(m, v, "");
    return v;
}

causal_view causal_from(model_ref m, const std::string & position, int64_t queries, int64_t capacity,
                        int64_t unmasked) {
    causal_view v{queries, capacity, unmasked};
    v.position = m.g().input(position, GGML_TYPE_I32, {1});
    m.g().limit(position, 0, capacity - queries);
    v.rows = m.g().computed(GGML_TYPE_I32, {queries}, [=](const graph::host_data & data, void * to) {
        const int32_t first = read_position(data, position);
        for (int64_t i = 0; i < queries; ++i) {
            static_cast<int32_t *>(to)[i] = first + static_cast<int32_t>(i);
        }
    });
    if (!fuses(m)) v.mask = make_mask(m, v, position);
    return v;
}

tensor cached(model_ref m, const std::string & name, tensor x, const causal_view & view) {
    sequence_dims d = dims_of_sequence(x);
    tensor cache = m.g().state(m.path(name), GGML_TYPE_F32, {d.batch, view.keys, d.channels});
    return ggml_set_rows(m.ctx(), cache, x, view.rows);
}

tensor causal_attention(model_ref m, tensor q, tensor k, tensor v, int64_t heads, const causal_view & view) {
    return fuses(m) ? emit_causal(m, q, k, v, heads, view) : attention(m, q, k, v, heads, view.mask);
}

}  // namespace safelight
