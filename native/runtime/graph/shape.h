#pragma once

#include <string>

#include "runtime/graph/graph.h"

namespace safelight {

// Product of the sides, or -1 where it does not fit into an int64 or a side is negative.
int64_t element_count(const shape & dims);

// Without its ones: [C, C, 1, 1] and [C, C] are the same parameter. [1, 1] becomes [1].
shape without_ones(const shape & dims);

std::string to_string(const shape & dims);  // "[1, 4, 64, 64]"

}  // namespace safelight
