#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "runtime/weights/weight_plan.h"

namespace safelight {

// Sources whose elements do not lie one after another: views, as PyTorch's files have them (a transposed
// matrix, every other row, one row again and again).

// Elements from the first to the last one, gaps included; 0 where strides and shape do not belong together or
// reach further than `limit`.
int64_t strided_span(const weight_entry & entry, int64_t limit);

// Elements [first, first + count) of the entry's result (its transform included), in order, as they are in
// the file. `from` is the source's first element.
std::vector<std::byte> gather(const weight_entry & entry, const std::byte * from, int64_t first,
                              int64_t count);

}  // namespace safelight
