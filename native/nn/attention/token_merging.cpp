#include "nn/attention/token_merging.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "nn/fused/kernel_node.h"
#include "nn/layout.h"

namespace safelight {
namespace {

constexpr int64_t score_limit = int64_t(64) << 20;  // bytes of one block's similarities
constexpr int64_t max_blocks = 256;                 // limits the size of the graph
constexpr size_t nodes_per_block = 8;               // upper bound of the nodes that a block adds
constexpr int64_t cell = 2;                         // side of a cell with one destination
constexpr int64_t channel_block = 64;               // channels that a thread averages at a time

struct partition {
    std::vector<int32_t> sources, destinations;  // tokens, ascending
};

// The pixels beyond the last whole cell are sources.
partition partition_of(int64_t height, int64_t width) {
    partition p;
    for (int64_t y = 0; y < height; ++y) {
        for (int64_t x = 0; x < width; ++x) {
            const bool first = y % cell == 0 && x % cell == 0 && y + cell <= height && x + cell <= width;
            (first ? p.destinations : p.sources).push_back(static_cast<int32_t>(y * width + x));
        }
    }
    return p;
}

// Returns tokens of each item: [B, T, C] -> [B, rows, C].
tensor select_tokens(model_ref m, tensor x, const std::vector<int32_t> & rows) {
    const int64_t batch = x->ne[2], count = static_cast<int64_t>(rows.size());
    auto fill = [rows, batch](const graph::host_data &, void * to) {
        int32_t * out = static_cast<int32_t *>(to);
        for (int64_t b = 0; b < batch; ++b) out = std::copy(rows.begin(), rows.end(), out);
    };
    return ggml_get_rows(m.ctx(), x, m.g().computed(GGML_TYPE_I32, {batch, count}, fill));
}

// Returns the largest of each row of similarities and its position, both f32: [B, n, D] -> [B, n, 2].
tensor best_matches(graph & g, tensor scores) {
    const int64_t ne[4] = {2, scores->ne[1], scores->ne[2], 1};
    return kernel_node(g, ne, {scores}, [scores](tensor out, const kernels::team & team) {
        const int64_t columns = scores->ne[0], rows = scores->ne[1] * scores->ne[2];
        const float * from = float_data(scores);
        float * to = static_cast<float *>(out->data);
        for (int64_t row = team.index; row < rows; row += team.count) {
            const float * values = from + row * columns;
            const int64_t best = std::max_element(values, values + columns) - values;
            to[2 * row] = values[best];
            to[2 * row + 1] = static_cast<float>(best);
        }
    });
}

// Finds the most similar destination of each source, a block of sources at a time: [B, S, 2].
tensor match_sources(model_ref m, tensor sources, tensor destinations) {
    ggml_context * ctx = m.ctx();
    const int64_t count = sources->ne[1], batch = sources->ne[2];
    const int64_t row_bytes = destinations->ne[1] * batch * int64_t(sizeof(float));
    const int64_t block =
        std::max({int64_t(1), score_limit / row_bytes, (count + max_blocks - 1) / max_blocks});
    m.g().require_room(nodes_per_block * static_cast<size_t>(count / block + 1));
    tensor all = nullptr;
    for (int64_t row = 0; row < count; row += block) {
        tensor rows = ggml_view_3d(ctx, sources, sources->ne[0], std::min(block, count - row), batch,
                                   sources->nb[1], sources->nb[2], static_cast<size_t>(row) * sources->nb[1]);
        tensor scores = ggml_mul_mat(ctx, destinations, rows);
        ggml_mul_mat_set_prec(scores, GGML_PREC_F32);
        tensor part = best_matches(m.g(), scores);
        all = all ? ggml_concat(ctx, all, part, 1) : part;
    }
    return all;
}

// Writes the index of each token among the merged ones: the sources that remain, then the destinations.
void assign_positions(const partition & p, const float * matches, int64_t merged, int32_t * positions) {
    const int64_t count = static_cast<int64_t>(p.sources.size());
    std::vector<int32_t> order(static_cast<size_t>(count));
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](int32_t a, int32_t b) { return matches[2 * a] > matches[2 * b]; });
    const int32_t remaining = static_cast<int32_t>(count - merged);
    for (int64_t i = 0; i < count; ++i) {
        const int32_t source = order[static_cast<size_t>(i)];
        positions[p.sources[static_cast<size_t>(source)]] =
            i < merged ? remaining + static_cast<int32_t>(matches[2 * source + 1])
                       : static_cast<int32_t>(i - merged);
    }
    for (size_t i = 0; i < p.destinations.size(); ++i) {
        positions[p.destinations[i]] = remaining + static_cast<int32_t>(i);
    }
}

// Averages channels [begin, end) of the tokens [tokens, width] of one item by their positions.
void average_channels(const float * x, const int32_t * positions, int64_t tokens, int64_t width, float * out,
                      int64_t out_tokens, int64_t begin, int64_t end) {
    std::vector<float> counts(static_cast<size_t>(out_tokens), 0.0f);
    for (int64_t t = 0; t < out_tokens; ++t) std::fill(out + t * width + begin, out + t * width + end, 0.0f);
    for (int64_t t = 0; t < tokens; ++t) {
        const float * from = x + t * width;
        float * to = out + positions[t] * width;
        for (int64_t c = begin; c < end; ++c) to[c] += from[c];
        ++counts[static_cast<size_t>(positions[t])];
    }
    for (int64_t t = 0; t < out_tokens; ++t) {
        const float count = counts[static_cast<size_t>(t)];
        for (int64_t c = begin; c < end && count > 1; ++c) out[t * width + c] /= count;
    }
}

}  // namespace

token_merging match_tokens(model_ref m, tensor x, int64_t height, int64_t width, double ratio) {
    if (!m.g().opts().cpu) throw error("INVALID_OPTION", "Token merging is computed on the backend cpu only");
    const partition p = partition_of(height, width);
    const int64_t sources = static_cast<int64_t>(p.sources.size()), tokens = height * width;
    const int64_t merged = p.destinations.empty()
                               ? 0
                               : std::min(sources, static_cast<int64_t>(static_cast<double>(tokens) * ratio));
    if (merged <= 0) return {nullptr, 0};
    tensor unit = ggml_l2_norm(m.ctx(), x, 1e-12f);
    tensor matches =
        match_sources(m, select_tokens(m, unit, p.sources), select_tokens(m, unit, p.destinations));
    const int64_t ne[4] = {tokens, x->ne[2], 1, 1};
    auto run = [p, matches, merged, tokens](tensor out, const kernels::team & team) {
        for (int64_t item = team.index; item < out->ne[1]; item += team.count) {
            assign_positions(p, float_data(matches) + item * matches->ne[0] * matches->ne[1], merged,
                             static_cast<int32_t *>(out->data) + item * tokens);
        }
    };
    return {kernel_node(m.g(), ne, {matches}, run, GGML_TYPE_I32), merged};
}

tensor merge_tokens(model_ref m, tensor x, const token_merging & merging) {
    if (!merging.positions) return x;
    tensor positions = merging.positions;
    const int64_t ne[4] = {x->ne[0], x->ne[1] - merging.source_count, x->ne[2], 1};
    return kernel_node(m.g(), ne, {x, positions}, [=](tensor out, const kernels::team & team) {
        const int64_t width = x->ne[0], blocks = (width + channel_block - 1) / channel_block;
        for (int64_t i = team.index; i < blocks * x->ne[2]; i += team.count) {
            const int64_t item = i / blocks, begin = i % blocks * channel_block;
            average_channels(float_data(x) + item * width * x->ne[1],
                             static_cast<const int32_t *>(positions->data) + item * positions->ne[0],
                             x->ne[1], width, static_cast<float *>(out->data) + item * width * out->ne[1],
                             out->ne[1], begin, std::min(begin + channel_block, width));
        }
    });
}

tensor unmerge_tokens(model_ref m, tensor x, const token_merging & merging) {
    return merging.positions ? ggml_get_rows(m.ctx(), x, merging.positions) : x;
}

}  // namespace safelight
