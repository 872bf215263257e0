#include "models/text/token_vectors.h"

namespace safelight {

void check_token_vectors(const input_shapes & inputs, int64_t width) {
    if (!inputs.count("vectors") && !inputs.count("vector_mask")) return;
    require_inputs(inputs, {"tokens", "vectors", "vector_mask"}, {"eos_index"});
    const shape & tokens = inputs.at("tokens");
    input_shape(inputs, "vectors", {"B", "T", "C"}, {tokens[0], tokens[1], width});
    input_shape(inputs, "vector_mask", {"B", "T"}, tokens);
}

tensor with_token_vectors(model_ref m, tensor x, const input_shapes & inputs) {
    if (!inputs.count("vectors")) return x;
    const shape & dims = inputs.at("vector_mask");
    tensor vectors = m.g().input("vectors", GGML_TYPE_F32, inputs.at("vectors"));
    tensor mask = m.g().input("vector_mask", GGML_TYPE_F32, dims);
    int64_t count = dims[0] * dims[1];
    tensor rest =
        m.g().computed(GGML_TYPE_F32, {dims[0], dims[1], 1}, [=](const graph::host_data & data, void * to) {
            const float * from = static_cast<const float *>(data.at("vector_mask"));
            for (int64_t i = 0; i < count; ++i) static_cast<float *>(to)[i] = 1.0f - from[i];
        });
    tensor column = ggml_reshape_3d(m.ctx(), mask, 1, dims[1], dims[0]);
    return ggml_add(m.ctx(), ggml_mul(m.ctx(), x, rest), ggml_mul(m.ctx(), vectors, column));
}

}  // namespace safelight
