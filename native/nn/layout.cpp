#include "nn/layout.h"

namespace safelight {

map_dims dims_of_map(tensor x) {
    return {x->ne[3], x->ne[2], x->ne[1], x->ne[0]};
}

sequence_dims dims_of_sequence(tensor x) {
    return {x->ne[2], x->ne[1], x->ne[0]};
}

tensor sequence_from_map(model_ref m, tensor x) {
    map_dims d = dims_of_map(x);
    tensor flat = ggml_reshape_3d(m.ctx(), x, d.width * d.height, d.channels, d.batch);
    return ggml_cont(m.ctx(), ggml_permute(m.ctx(), flat, 1, 0, 2, 3));
}

tensor map_from_sequence(model_ref m, tensor x, int64_t height, int64_t width) {
    sequence_dims d = dims_of_sequence(x);
    tensor planes = ggml_cont(m.ctx(), ggml_permute(m.ctx(), x, 1, 0, 2, 3));
    return ggml_reshape_4d(m.ctx(), planes, width, height, d.channels, d.batch);
}

tensor concat_channels(model_ref m, tensor a, tensor b) {
    return ggml_concat(m.ctx(), a, b, 2);
}

tensor add_to_channels(model_ref m, tensor x, tensor v) {
    return ggml_add(m.ctx(), x, ggml_reshape_4d(m.ctx(), v, 1, 1, v->ne[0], v->ne[1]));
}

tensor add(model_ref m, tensor a, tensor b) {
    return ggml_add(m.ctx(), a, b);
}

tensor named_map(model_ref m, tensor x) {
    map_dims d = dims_of_map(x);
    return m.named(x, {d.batch, d.channels, d.height, d.width});
}

tensor named_sequence(model_ref m, tensor x) {
    sequence_dims d = dims_of_sequence(x);
    return m.named(x, {d.batch, d.length, d.channels});
}

tensor named_vector(model_ref m, tensor x) {
    return m.named(x, {x->ne[1], x->ne[0]});
}

}  // namespace safelight
