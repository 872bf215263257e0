#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/graph.h"

namespace safelight {

// Element types of a weight in its file (safetensors' names).
enum class source_type { f64, f32, f16, bf16, f8_e4m3, f8_e5m2 };

size_t element_size(source_type type);

// Where a parameter comes from and how it is kept; WeightPlanEntry of lib/native/types.ts.
struct weight_entry {
    enum class transform { none, rows, transpose };

    std::string name;
    shape dims;  // after the transform
    size_t file = 0;
    uint64_t offset = 0, length = 0;  // bytes
    source_type type = source_type::f32;
    shape source_dims;
    transform op = transform::none;
    int64_t row_begin = 0, row_end = 0;  // of `rows`
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
