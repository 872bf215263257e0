#include "nn/embedding.h"

#include <cmath>

#include "nn/layout.h"

namespace safelight {
namespace {

// Rounds as the reference does, because models were trained with it: frequency and angle in f32, sine and
// cosine in double.
void write_sinusoid(float t, const sinusoid_options & o, float * to) {
    int64_t half = o.width / 2;
    float * sines = to + (o.cosines_first ? half : 0);
    float * cosines = to + (o.cosines_first ? 0 : half);
    for (int64_t i = 0; i < half; ++i) {
        double exponent =
            -std::log(10000.0) * static_cast<double>(i) / (static_cast<double>(half) - o.freq_shift);
        float angle = t * static_cast<float>(std::exp(exponent));
        sines[i] = static_cast<float>(std::sin(static_cast<double>(angle)));
        cosines[i] = static_cast<float>(std::cos(static_cast<double>(angle)));
    }
    if (o.width % 2 == 1) to[o.width - 1] = 0.0f;
}

}  // namespace

tensor token_embedding(model_ref m, const std::string & input, const shape & ids, int64_t vocabulary,
                       int64_t width) {
    m.g().limit(input, 0, vocabulary - 1);
    tensor rows = ggml_reshape_1d(m.ctx(), m.g().input(input, GGML_TYPE_I32, ids), ids[0] * ids[1]);
    tensor table = m.weight("weight", {vocabulary, width}, weight_role::embedding);
    return ggml_reshape_3d(m.ctx(), ggml_get_rows(m.ctx(), table, rows), width, ids[1], ids[0]);
}

tensor position_embedding(model_ref m, int64_t length, int64_t positions, int64_t width) {
    tensor table = m.weight("weight", {positions, width}, weight_role::embedding);
    tensor rows = ggml_view_2d(m.ctx(), table, width, length, table->nb[1], 0);
    return table->type == GGML_TYPE_F32 ? rows : ggml_cast(m.ctx(), rows, GGML_TYPE_F32);
}

tensor pick_rows(model_ref m, tensor x, const std::string & input) {
    sequence_dims d = dims_of_sequence(x);
    m.g().input(input, GGML_TYPE_I32, {d.batch});
    m.g().limit(input, 0, d.length - 1);
    tensor rows = m.g().computed(GGML_TYPE_I32, {d.batch}, [=](const graph::host_data & data, void * to) {
        const int32_t * index = static_cast<const int32_t *>(data.at(input));
        int32_t * row = static_cast<int32_t *>(to);
        for (int64_t b = 0; b < d.batch; ++b) row[b] = static_cast<int32_t>(b * d.length) + index[b];
    });
    return ggml_get_rows(m.ctx(), ggml_reshape_2d(m.ctx(), x, d.channels, d.length * d.batch), rows);
}

tensor sinusoids(model_ref m, const std::string & input, const shape & dims, sinusoid_options o) {
    int64_t batch = dims[0], count = dims.size() > 1 ? dims[1] : 1;
    m.g().input(input, GGML_TYPE_F32, dims);
    return m.g().computed(GGML_TYPE_F32, {batch, count * o.width},
                          [=](const graph::host_data & data, void * to) {
                              const float * t = static_cast<const float *>(data.at(input));
                              for (int64_t i = 0; i < batch * count; ++i)
                                  write_sinusoid(t[i], o, static_cast<float *>(to) + i * o.width);
                          });
}

}  // namespace safelight
