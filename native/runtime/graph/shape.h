#pragma once

#include <string>

#include "runtime/graph/graph.h"

namespace safelight {

// Returns the product of the dimensions from `first` on, or -1 if it overflows an int64 or a dimension is
// negative.
int64_t element_count(const shape & dims, size_t first = 0);

// Returns the shape without dimensions of size 1, to compare shapes such as [C, C, 1, 1] and [C, C]. [1, 1]
// becomes [1].
shape without_ones(const shape & dims);

std::string to_string(const shape & dims);  // for example "[1, 4, 64, 64]"

}  // namespace safelight
