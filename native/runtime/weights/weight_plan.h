#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/graph/graph.h"

namespace safelight {

// Element types of a weight in its file: ggml's types under their own numbers, so that a cast leads from one
// to the other, and those that only safetensors has.
enum class source_type : int {
    f64 = GGML_TYPE_F64,
    f32 = GGML_TYPE_F32,
    f16 = GGML_TYPE_F16,
    bf16 = GGML_TYPE_BF16,
    f8_e4m3 = GGML_TYPE_COUNT,
    f8_e5m2,
};

// Elements that are stored together, and their bytes: 1 and those of a number, or a block of a quantized
// type.
int64_t block_elements(source_type type);
size_t block_bytes(source_type type);
// Bytes of `count` elements in whole blocks.
size_t bytes_of(source_type type, int64_t count);

// Whether values can be written in this type; others (q2_K, iq4_nl ...) are only kept as they are in a file.
bool encodable(ggml_type type);

// Where a parameter comes from and how it is kept; WeightPlanEntry of lib/binding/types.ts.
struct weight_entry {
    enum class transform { none, rows, transpose };

    std::string name;
    shape dims;  // after the transform
    size_t file = 0;
    uint64_t offset = 0, length = 0;  // bytes
    source_type type = source_type::f32;
    shape source_dims;
    shape strides;  // in elements; empty where they lie one after another
    transform op = transform::none;
    int64_t row_begin = 0, row_end = 0;  // of `rows`
    int64_t groups = 1;                  // of `rows`: equal groups of the source's rows, each cut so
    ggml_type storage = GGML_TYPE_F32;
};

struct weight_plan {
    std::vector<std::string> files;
    std::vector<weight_entry> entries;
};

// Throws INVALID_FILE or SHAPE_MISMATCH when the entry reads outside its file or contradicts itself. The plan
// was made from validated headers in TypeScript; it is checked again because here a wrong range reads foreign
// memory.
void check_entry(const weight_entry & entry, uint64_t file_size);

// The entries of the requirements, in their order. Throws MISSING_TENSOR or SHAPE_MISMATCH with the full
// name.
std::vector<const weight_entry *> match(const weight_plan & plan,
                                        const std::vector<weight_requirement> & required);

}  // namespace safelight
