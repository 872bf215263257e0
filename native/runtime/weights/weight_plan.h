#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "runtime/graph/graph.h"

namespace safelight {

// Element types of weights in files: ggml's types with their own numbers, so that a cast converts between
// them, and the types that only safetensors has.
enum class source_type : int {
    f64 = GGML_TYPE_F64,
    f32 = GGML_TYPE_F32,
    f16 = GGML_TYPE_F16,
    bf16 = GGML_TYPE_BF16,
    f8_e4m3 = GGML_TYPE_COUNT,
    f8_e5m2,
    f8_e8m0,  // 2^(e - 127), a scale
    i8,
    i4,       // signed, two in a byte, the first in its lower half
    f4_e2m1,  // two in a byte, the first in its upper half
};

// Elements and bytes of a block: those of one number, or of a block of a quantized type.
int64_t block_elements(source_type type);
size_t block_bytes(source_type type);
// Returns the bytes of `count` elements, a multiple of the block size.
size_t bytes_of(source_type type, int64_t count);

// Returns true if f32 values can be converted to this type. Other types (q2_K, iq4_nl ...) can only be copied
// from a file unchanged.
bool encodable(ggml_type type);

// Scales of a weight whose source has codes: a value is code * scale * factor, and each run of `rotation`
// columns is then multiplied by a Hadamard matrix. WeightScale in lib/binding/types.ts.
struct weight_scale {
    source_type type = source_type::f32;
    uint64_t offset = 0;   // bytes in the entry's file
    int64_t count = 0;     // 1, one per row, or those of all blocks
    int64_t block = 0;     // columns per scale; 0: whole rows
    uint64_t factor = 0;   // offset of an f32 in the file; 0: none
    int64_t rotation = 0;  // a power of 4; 0: none
};

// Source, transform and storage type of a parameter; WeightPlanEntry in lib/binding/types.ts.
struct weight_entry {
    enum class transform { none, rows, transpose };

    std::string name;
    shape dims;  // after the transform
    size_t file = 0;
    uint64_t offset = 0, length = 0;  // bytes
    source_type type = source_type::f32;
    shape source_dims;
    shape strides;  // in elements; empty if the source is contiguous
    std::optional<weight_scale> scale;
    transform op = transform::none;
    int64_t row_begin = 0, row_end = 0;  // for `rows`: the rows to select
    int64_t groups = 1;                  // for `rows`: equal groups of source rows, selected from in each
    ggml_type storage = GGML_TYPE_F32;
};

struct weight_plan {
    std::vector<std::string> files;
    std::vector<weight_entry> entries;
};

// Throws INVALID_FILE or SHAPE_MISMATCH if the entry reads outside its file or is inconsistent. TypeScript
// creates the plan from validated headers; it is checked again because a wrong range would read out of bounds
// here.
void check_entry(const weight_entry & entry, uint64_t file_size);

// Returns the entry of each requirement, in the order of the requirements. Throws MISSING_TENSOR or
// SHAPE_MISMATCH with the full name.
std::vector<const weight_entry *> match(const weight_plan & plan,
                                        const std::vector<weight_requirement> & required);

}  // namespace safelight
