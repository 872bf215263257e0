#include "nn/attention/relative_bias.h"

#include <algorithm>
#include <cmath>

namespace safelight {

// Rounds to f32 after each step as the reference does: at powers of two the quotient of the logarithms is an
// integer, so that its last bit decides the bucket.
int32_t relative_bucket(int64_t distance, int64_t buckets, int64_t max_distance) {
    const int64_t half = buckets / 2, exact = half / 2;
    const int64_t first = distance > 0 ? half : 0;
    distance = std::abs(distance);
    if (distance < exact) return static_cast<int32_t>(first + distance);
    const float ratio = static_cast<float>(distance) / static_cast<float>(exact);
    const float range = static_cast<float>(std::log(static_cast<double>(max_distance) / exact));
    const float place = std::log(ratio) / range * static_cast<float>(half - exact);
    // Compare before converting to an integer, because a large distance would overflow.
    const float last = static_cast<float>(half - 1 - exact);
    return static_cast<int32_t>(first + exact +
                                (place < last ? static_cast<int64_t>(place) : half - 1 - exact));
}

tensor relative_bias(model_ref m, int64_t length, const relative_bias_options & o) {
    auto fill = [length, o](const graph::host_data &, void * to) {
        int32_t * bucket = static_cast<int32_t *>(to);
        for (int64_t query = 0; query < length; ++query) {
            for (int64_t key = 0; key < length; ++key) {
                *bucket++ = relative_bucket(key - query, o.buckets, o.max_distance);
            }
        }
    };
    tensor buckets = m.g().computed(GGML_TYPE_I32, {length * length}, fill);
    tensor table = m.weight("weight", {o.buckets, o.heads}, weight_role::embedding);
    tensor rows = m.named(ggml_get_rows(m.ctx(), table, buckets), {length, length, o.heads});
    rows = ggml_reshape_3d(m.ctx(), rows, o.heads, length, length);
    return ggml_cont(m.ctx(), ggml_permute(m.ctx(), rows, 2, 0, 1, 3));
}

}  // namespace safelight
