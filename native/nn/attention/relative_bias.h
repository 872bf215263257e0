#pragma once

#include <cstdint>

#include "runtime/graph/graph.h"

namespace safelight {

// Relative position bias of T5 (Raffel et al. 2020). Distances between positions are assigned to buckets,
// half of them for keys after the query. Short distances have a bucket each; longer ones share
// logarithmically wider buckets.
struct relative_bias_options {
    int64_t heads;
    int64_t buckets;       // at least 4
    int64_t max_distance;  // distances from here on share the last bucket; must be greater than buckets / 4
};

// Returns the bucket of a key `distance` positions after the query (before it if negative).
int32_t relative_bucket(int64_t distance, int64_t buckets, int64_t max_distance);

// Returns the bias of attention scores, [heads, length, length], from m.weight [buckets, heads].
tensor relative_bias(model_ref m, int64_t length, const relative_bias_options & o);

}  // namespace safelight
