#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/weights/weight_plan.h"

namespace safelight {

// Reads `count` values, whole blocks, from bytes of any alignment.
void decode(source_type type, const std::byte * from, float * to, int64_t count);

// Writes values in a storage type; for a block type `count` is a multiple of `row`, and `row` of the block.
void encode(ggml_type type, const float * from, void * to, int64_t count, int64_t row);

// True where the bytes of the file are those of the storage.
bool same_bytes(source_type from, ggml_type to);

// Converts rows [begin, end) of the entry's result, seen as a matrix of `row` columns, into `to`. `from` is
// the entry's first byte.
void convert_rows(const weight_entry & entry, const std::byte * from, int64_t row, int64_t begin, int64_t end,
                  void * to);

}  // namespace safelight
