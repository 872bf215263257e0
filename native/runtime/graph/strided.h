#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "runtime/weights/weight_plan.h"

namespace safelight {

// Weights whose elements are not contiguous in the file. PyTorch checkpoints store views with strides, such
// as a transposed matrix, every other row or an expanded row.

// Returns the number of elements from the first to the last one, gaps included; 0 if the strides do not match
// the shape or reach further than `limit`.
int64_t strided_span(const weight_entry & entry, int64_t limit);

// Returns the bytes of elements [first, first + count) of the entry after its transform, in row-major order
// and in the file's element type. `from` is the first byte of the source.
std::vector<std::byte> gather(const weight_entry & entry, const std::byte * from, int64_t first,
                              int64_t count);

}  // namespace safelight
