#pragma once

#include <cstdint>

#include "runtime/graph/graph.h"

namespace safelight {

// T5's relative position bias (Raffel et al. 2020): distances between two places fall into buckets, half of
// them for keys after the query; near ones have a bucket each, far ones share logarithmically wider ones.
struct relative_bias_options {
    int64_t heads;
    int64_t buckets;       // at least 4
    int64_t max_distance;  // from here on all distances share the last bucket; more than buckets / 4
};

// The bucket of a key at the place `distance` after the query's (before it where negative).
int32_t relative_bucket(int64_t distance, int64_t buckets, int64_t max_distance);

// The bias of the attention scores of a sequence of `length` places: [heads, length, length], from m.weight
// [buckets, heads].
tensor relative_bias(model_ref m, int64_t length, const relative_bias_options & o);

}  // namespace safelight
