#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/weights/weight_plan.h"

namespace safelight {

// Converts `count` values to f32 from bytes of any alignment. For block types `count` must be a multiple of
// the block size.
void decode(source_type type, const std::byte * from, float * to, int64_t count);

// Converts f32 values to a storage type. For block types `count` must be a multiple of `row`, and `row` a
// multiple of the block size.
void encode(ggml_type type, const float * from, void * to, int64_t count, int64_t row);

// Returns true if the file's type and the storage type have the same byte representation.
bool same_bytes(source_type from, ggml_type to);

// Converts rows [begin, end) of the transformed weight, as a matrix with `row` columns, into `to`. `file` is
// the first byte of the entry's file.
void convert_rows(const weight_entry & entry, const std::byte * file, int64_t row, int64_t begin, int64_t end,
                  void * to);

}  // namespace safelight
