#include "runtime/patches/joined_changes.h"

#include "runtime/patches/patch_factors.h"

namespace safelight {

namespace {

int64_t rank_of(const weight_change & change) {
    return change.up->ne[0];
}

// The dimension of `down` in ggml's order that is the rank: [columns, r], or [kw, kh, columns, r].
int rank_dim(const weight_change & change) {
    const int64_t * ne = change.down->ne;
    return ne[1] == rank_of(change) && ne[2] == 1 && ne[3] == 1 ? 1 : 3;
}

bool same_part(const weight_change & a, const weight_change & b) {
    return a.row_begin == b.row_begin && a.row_end == b.row_end && a.column_begin == b.column_begin &&
           a.column_end == b.column_end;
}

// Changes that can be joined: all are low-rank and of the same part.
bool joinable(const std::vector<weight_change> & changes) {
    if (changes.size() < 2) return false;
    for (const weight_change & change : changes) {
        if (!change.down || !same_part(change, changes[0])) return false;
        // A single input would leave open which dimension is the rank.
        if (ggml_nelements(change.down) == rank_of(change)) return false;
        if (rank_dim(change) != rank_dim(changes[0])) return false;
    }
    return true;
}

struct join {
    std::vector<weight_change> * parts;
    weight_change whole;
};

shape dims_of(const ggml_tensor * x, int dim, int64_t size) {
    int64_t ne[4] = {x->ne[0], x->ne[1], x->ne[2], x->ne[3]};
    ne[dim] = size;
    int count = std::max(dim + 1, ggml_n_dims(x));
    shape dims;
    for (int i = count - 1; i >= 0; i--) dims.push_back(ne[i]);
    return dims;
}

void fill(const join & joined) {
    std::vector<float> down, up(static_cast<size_t>(ggml_nelements(joined.whole.up)));
    int64_t all = joined.whole.up->ne[0], rows = joined.whole.up->ne[1], first = 0;
    for (const weight_change & part : *joined.parts) {
        std::vector<float> values = read_parameter(part.down);
        down.insert(down.end(), values.begin(), values.end());
        values = read_parameter(part.up);
        int64_t rank = rank_of(part);
        for (int64_t row = 0; row < rows; row++) {
            for (int64_t i = 0; i < rank; i++) {
                up[static_cast<size_t>(row * all + first + i)] =
                    part.scale * values[static_cast<size_t>(row * rank + i)];
            }
        }
        first += rank;
    }
    write_parameter(down, joined.whole.down);
    write_parameter(up, joined.whole.up);
}

}  // namespace

joined_changes::joined_changes(changes & all, const weights::options & options) {
    std::vector<join> joins;
    for (auto & [name, parts] : all) {
        if (joinable(parts)) joins.push_back({&parts, parts[0]});
    }
    if (joins.empty()) return;
    buffer_ = std::make_unique<weight_buffer>(2 * joins.size());
    for (join & joined : joins) {
        const weight_change & first = joined.parts->front();
        int64_t rank = 0;
        bool same_type = true;
        for (const weight_change & part : *joined.parts) {
            rank += rank_of(part);
            same_type = same_type && part.down->type == first.down->type;
        }
        joined.whole.scale = 1;
        joined.whole.down = buffer_->add(same_type ? first.down->type : GGML_TYPE_F32,
                                         dims_of(first.down, rank_dim(first), rank));
        joined.whole.up = buffer_->add(GGML_TYPE_F32, dims_of(first.up, 0, rank));
    }
    buffer_->allocate(options.device, "The factors of adapters");
    for (join & joined : joins) {
        options.cancel.throw_if_cancelled();
        fill(joined);
        *joined.parts = {joined.whole};
    }
}

}  // namespace safelight
