#include "nn/weight_change.h"

#include "nn/fused/fusion.h"
#include "nn/layout.h"
#include "nn/linear.h"

namespace safelight {
namespace {

constexpr size_t nodes_per_branch = 24;  // counted generously

tensor scaled(model_ref m, tensor x, float scale) {
    return scale == 1 ? x : ggml_scale(m.ctx(), x, scale);
}

// Channels [begin, end) of x, which lie in dimension `at` of ggml's order.
tensor channels_of(model_ref m, tensor x, int at, int64_t begin, int64_t end) {
    if (begin == 0 && end == x->ne[at]) return x;
    int64_t ne[4] = {x->ne[0], x->ne[1], x->ne[2], x->ne[3]};
    ne[at] = end - begin;
    return ggml_cont(m.ctx(), ggml_view_4d(m.ctx(), x, ne[0], ne[1], ne[2], ne[3], x->nb[1], x->nb[2],
                                           x->nb[3], static_cast<size_t>(begin) * x->nb[at]));
}

// y among `out` channels of zeros, from the `begin`th on.
tensor among_zeros(model_ref m, tensor y, int at, int64_t begin, int64_t out) {
    if (y->ne[at] == out) return y;
    int before[4] = {}, after[4] = {};
    before[at] = static_cast<int>(begin);
    after[at] = static_cast<int>(out - begin - y->ne[at]);
    if (!ggml_is_contiguous(y)) y = ggml_cont(m.ctx(), y);
    return ggml_pad_ext(m.ctx(), y, before[0], after[0], before[1], after[1], before[2], after[2], before[3],
                        after[3]);
}

tensor added(model_ref m, tensor sum, tensor part) {
    return sum ? add(m, sum, part) : part;
}

// Each pixel's channels through a matrix [out, in].
tensor multiply_pixels(model_ref m, tensor x, tensor w) {
    map_dims d = dims_of_map(m, x);
    return map_from_sequence(m, multiply(m, sequence_from_map(m, x), w), d.height, d.width);
}

}  // namespace

tensor linear_change(model_ref m, tensor x, int64_t out) {
    constexpr int channels = 0;
    tensor sum = nullptr;
    for (const weight_delta & b : m.deltas("weight")) {
        m.g().require_room(nodes_per_branch);
        tensor y = channels_of(m, x, channels, b.column_begin, b.column_end);
        y = b.down ? multiply(m, scaled(m, multiply(m, y, b.down), b.scale), b.up)
                   : scaled(m, multiply(m, y, b.up), b.scale);
        sum = added(m, sum, among_zeros(m, y, channels, b.row_begin, out));
    }
    return sum;
}

tensor conv_change(model_ref m, tensor x, int64_t out, conv_options o) {
    const int channels = fuses(m) ? 0 : 2;
    tensor sum = nullptr;
    for (const weight_delta & b : m.deltas("weight")) {
        m.g().require_room(nodes_per_branch);
        tensor y = channels_of(m, x, channels, b.column_begin, b.column_end);
        y = scaled(m, convolve(m, y, b.down ? b.down : b.up, o), b.scale);
        if (b.down) y = multiply_pixels(m, y, b.up);
        sum = added(m, sum, among_zeros(m, y, channels, b.row_begin, out));
    }
    return sum;
}

}  // namespace safelight
