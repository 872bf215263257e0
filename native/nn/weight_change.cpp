#include "nn/weight_change.h"

#include "nn/fused/fusion.h"
#include "nn/layout.h"
#include "nn/linear.h"

namespace safelight {
namespace {

constexpr size_t nodes_per_change = 24;  // upper bound of the nodes that a change adds

tensor scaled(model_ref m, tensor x, float scale) {
    return scale == 1 ? x : ggml_scale(m.ctx(), x, scale);
}

// Returns channels [begin, end) of x. The channels are dimension `at` in ggml's order.
tensor slice_channels(model_ref m, tensor x, int at, int64_t begin, int64_t end) {
    if (begin == 0 && end == x->ne[at]) return x;
    int64_t ne[4] = {x->ne[0], x->ne[1], x->ne[2], x->ne[3]};
    ne[at] = end - begin;
    return ggml_cont(m.ctx(), ggml_view_4d(m.ctx(), x, ne[0], ne[1], ne[2], ne[3], x->nb[1], x->nb[2],
                                           x->nb[3], static_cast<size_t>(begin) * x->nb[at]));
}

// Pads y with channels of zeros to `out` channels; y begins at channel `begin`.
tensor pad_channels(model_ref m, tensor y, int at, int64_t begin, int64_t out) {
    if (y->ne[at] == out) return y;
    int before[4] = {}, after[4] = {};
    before[at] = static_cast<int>(begin);
    after[at] = static_cast<int>(out - begin - y->ne[at]);
    if (!ggml_is_contiguous(y)) y = ggml_cont(m.ctx(), y);
    return ggml_pad_ext(m.ctx(), y, before[0], after[0], before[1], after[1], before[2], after[2], before[3],
                        after[3]);
}

tensor accumulate(model_ref m, tensor sum, tensor part) {
    return sum ? add(m, sum, part) : part;
}

// Multiplies the channels of each pixel with a matrix [out, in].
tensor multiply_pixels(model_ref m, tensor x, tensor w) {
    map_dims d = dims_of_map(m, x);
    return map_from_sequence(m, multiply(m, sequence_from_map(m, x), w), d.height, d.width);
}

}  // namespace

const weight_change * includable_change(model_ref m, int64_t out) {
    for (const weight_change & change : m.weight_changes("weight")) {
        if (change.down && change.row_begin == 0 && change.row_end == out) return &change;
    }
    return nullptr;
}

inner_change inner_of(model_ref m, tensor x, const weight_change & change) {
    m.g().require_room(nodes_per_change);
    constexpr int channels = 0;
    tensor y = slice_channels(m, x, channels, change.column_begin, change.column_end);
    return {scaled(m, multiply(m, y, change.down), change.scale), change.up};
}

tensor linear_change(model_ref m, tensor x, int64_t out, const weight_change * included) {
    constexpr int channels = 0;
    tensor sum = nullptr;
    for (const weight_change & change : m.weight_changes("weight")) {
        if (&change == included) continue;
        m.g().require_room(nodes_per_change);
        tensor y = slice_channels(m, x, channels, change.column_begin, change.column_end);
        y = change.down ? multiply(m, scaled(m, multiply(m, y, change.down), change.scale), change.up)
                        : scaled(m, multiply(m, y, change.up), change.scale);
        sum = accumulate(m, sum, pad_channels(m, y, channels, change.row_begin, out));
    }
    return sum;
}

tensor conv_change(model_ref m, tensor x, int64_t out, conv_options o) {
    const int channels = fuses(m) ? 0 : 2;
    tensor sum = nullptr;
    for (const weight_change & change : m.weight_changes("weight")) {
        m.g().require_room(nodes_per_change);
        tensor y = slice_channels(m, x, channels, change.column_begin, change.column_end);
        y = scaled(m, convolve(m, y, change.down ? change.down : change.up, o), change.scale);
        if (change.down) y = multiply_pixels(m, y, change.up);
        sum = accumulate(m, sum, pad_channels(m, y, channels, change.row_begin, out));
    }
    return sum;
}

}  // namespace safelight
