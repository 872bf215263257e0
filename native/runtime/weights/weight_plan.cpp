#include "runtime/weights/weight_plan.h"

#include <algorithm>
#include <unordered_map>

#include "runtime/graph/shape.h"
#include "runtime/graph/strided.h"

namespace safelight {

namespace {

[[noreturn]] void throw_invalid(const weight_entry & entry, const std::string & what) {
    throw error("INVALID_FILE", "The weight plan of " + entry.name + " " + what);
}

bool all_positive(const shape & dims) {
    return std::all_of(dims.begin(), dims.end(), [](int64_t n) { return n > 0; });
}

shape transformed(const weight_entry & entry) {
    shape dims = entry.source_dims;
    switch (entry.op) {
        case weight_entry::transform::none:
            break;
        case weight_entry::transform::rows:
            if (dims.empty() || entry.groups < 1 || dims[0] % entry.groups != 0 || entry.row_begin < 0 ||
                entry.row_begin >= entry.row_end || entry.row_end > dims[0] / entry.groups) {
                throw_invalid(entry, "selects rows " + std::to_string(entry.row_begin) + " to " +
                                         std::to_string(entry.row_end) + " of each of " +
                                         std::to_string(entry.groups) + " groups of " + to_string(dims));
            }
            dims[0] = (entry.row_end - entry.row_begin) * entry.groups;
            break;
        case weight_entry::transform::transpose:
            if (dims.size() != 2) {
                throw_invalid(entry, "transposes " + to_string(dims) + ", which is not a matrix");
            }
            std::swap(dims[0], dims[1]);
            break;
    }
    return dims;
}

// Returns true if the operations that use a parameter of this role support the type. ggml would abort on an
// unsupported one.
bool storable(weight_role role, ggml_type type) {
    return type == GGML_TYPE_F32 || role == weight_role::matrix ||
           (role != weight_role::vector && (type == GGML_TYPE_F16 || type == GGML_TYPE_BF16));
}

// Returns true if the entry's length matches its source shape, type and strides.
bool length_matches(const weight_entry & entry) {
    int64_t count = element_count(entry.source_dims);
    int64_t block = block_elements(entry.type);
    auto size = static_cast<int64_t>(block_bytes(entry.type));
    if (entry.source_dims.empty() || !all_positive(entry.source_dims) || count <= 0 ||
        entry.source_dims.back() % block != 0 || count / block > INT64_MAX / size) {
        return false;
    }
    int64_t stored = entry.strides.empty() ? count / block : strided_span(entry, INT64_MAX / size);
    return stored > 0 && static_cast<uint64_t>(stored * size) == entry.length;
}

bool is_power_of_4(int64_t n) {
    return n > 1 && (n & (n - 1)) == 0 && n % 3 == 1;
}

// Blocks of scales are stored in tiles of 128 rows and 4 blocks (NVIDIA's layout of block scaling factors).
int64_t tiled_scales(int64_t rows, int64_t blocks) {
    return (rows + 127) / 128 * 128 * ((blocks + 3) / 4 * 4);
}

void check_scale(const weight_entry & entry, uint64_t file_size) {
    const weight_scale & s = *entry.scale;
    if (!entry.strides.empty() || entry.op == weight_entry::transform::transpose) {
        throw_invalid(entry, "scales a transposed or strided source");
    }
    const int64_t rows = entry.source_dims[0], width = element_count(entry.source_dims, 1);
    const bool fits = s.block == 0  ? s.count == 1 || s.count == rows
                      : s.block > 0 ? width % s.block == 0 && s.count == tiled_scales(rows, width / s.block)
                                    : false;
    if (!fits || block_elements(s.type) != 1) {
        throw_invalid(entry, "has " + std::to_string(s.count) + " scales, which do not match the shape " +
                                 to_string(entry.source_dims));
    }
    if (s.rotation != 0 && (!is_power_of_4(s.rotation) || width % s.rotation != 0)) {
        throw_invalid(entry, "rotates groups of " + std::to_string(s.rotation) + " of " +
                                 std::to_string(width) + " columns");
    }
    const auto size = static_cast<uint64_t>(s.count) * block_bytes(s.type);
    if (s.offset > file_size || size > file_size - s.offset ||
        (s.factor != 0 && (s.factor > file_size || sizeof(float) > file_size - s.factor))) {
        throw_invalid(entry, "has scales outside of its file");
    }
    if (width % block_elements(entry.type) != 0) throw_invalid(entry, "has rows that share a byte");
}

// Selected rows must consist of whole blocks, and types that cannot be encoded must be copied unchanged.
void check_blocks(const weight_entry & entry) {
    int64_t row = entry.source_dims.size() > 1 ? entry.source_dims.back() : 1;
    if (entry.op == weight_entry::transform::rows && row % block_elements(entry.type) != 0) {
        throw_invalid(entry, "selects rows of " + std::to_string(row) + " elements, which divide blocks of " +
                                 std::to_string(block_elements(entry.type)));
    }
    bool copied = static_cast<int>(entry.type) == static_cast<int>(entry.storage) &&
                  entry.op != weight_entry::transform::transpose && entry.groups == 1;
    if (!encodable(entry.storage) && !copied) {
        throw error("INVALID_OPTION", "Cannot convert " + entry.name + " to " +
                                          ggml_type_name(entry.storage) +
                                          ": weights of this type can only be copied from a file");
    }
}

}  // namespace

int64_t block_elements(source_type type) {
    if (type < source_type::f8_e4m3) return ggml_blck_size(static_cast<ggml_type>(type));
    return type == source_type::i4 || type == source_type::f4_e2m1 ? 2 : 1;
}

size_t block_bytes(source_type type) {
    return type < source_type::f8_e4m3 ? ggml_type_size(static_cast<ggml_type>(type)) : 1;
}

size_t bytes_of(source_type type, int64_t count) {
    return static_cast<size_t>(count / block_elements(type)) * block_bytes(type);
}

bool encodable(ggml_type type) {
    switch (type) {
        case GGML_TYPE_F32:
        case GGML_TYPE_F16:
        case GGML_TYPE_BF16:
        case GGML_TYPE_Q8_0:
        case GGML_TYPE_Q5_0:
        case GGML_TYPE_Q4_0:
        case GGML_TYPE_Q4_K:
        case GGML_TYPE_Q5_K:
        case GGML_TYPE_Q6_K:
            return true;
        default:
            return false;
    }
}

void check_entry(const weight_entry & entry, uint64_t file_size) {
    if (entry.offset > file_size || entry.length > file_size - entry.offset) {
        throw_invalid(entry, "reads bytes " + std::to_string(entry.offset) + " to " +
                                 std::to_string(entry.offset + entry.length) + " of a file of " +
                                 std::to_string(file_size));
    }
    if (!length_matches(entry)) {
        throw_invalid(entry, "has " + std::to_string(entry.length) +
                                 " bytes, which does not match the shape " + to_string(entry.source_dims));
    }
    check_blocks(entry);
    if (entry.scale) check_scale(entry, file_size);
    shape dims = transformed(entry);
    if (element_count(entry.dims) != element_count(dims) || without_ones(entry.dims) != without_ones(dims)) {
        throw error("SHAPE_MISMATCH", "The weight plan of " + entry.name + " declares the shape " +
                                          to_string(entry.dims) + ", but its source has the shape " +
                                          to_string(dims));
    }
}

std::vector<const weight_entry *> match(const weight_plan & plan,
                                        const std::vector<weight_requirement> & required) {
    std::unordered_map<std::string, const weight_entry *> by_name;
    for (const weight_entry & entry : plan.entries) {
        if (!by_name.emplace(entry.name, &entry).second) {
            throw_invalid(entry, "appears twice");
        }
        if (entry.file >= plan.files.size()) {
            throw_invalid(entry, "refers to file " + std::to_string(entry.file) + ", but the plan has " +
                                     std::to_string(plan.files.size()) + " files");
        }
    }
    std::vector<const weight_entry *> out;
    for (const weight_requirement & r : required) {
        auto found = by_name.find(r.name);
        if (found == by_name.end()) {
            throw error("MISSING_TENSOR",
                        "The model has no tensor " + r.name + " of shape " + to_string(r.dims));
        }
        const weight_entry & entry = *found->second;
        if (without_ones(entry.dims) != without_ones(r.dims)) {
            throw error("SHAPE_MISMATCH", "Expected shape " + to_string(r.dims) + " for " + r.name +
                                              " but found " + to_string(entry.dims));
        }
        if (!storable(r.role, entry.storage)) {
            throw error("INVALID_OPTION",
                        "Cannot store " + r.name + " as " + ggml_type_name(entry.storage) +
                            ": only matrices can be quantized, and norms and biases must be f32");
        }
        int64_t row = r.dims.back();
        if (row % ggml_blck_size(entry.storage) != 0) {
            throw error("INVALID_OPTION", "Cannot store " + r.name + " as " + ggml_type_name(entry.storage) +
                                              ": its rows of " + std::to_string(row) +
                                              " elements are not a multiple of the block size " +
                                              std::to_string(ggml_blck_size(entry.storage)));
        }
        out.push_back(&entry);
    }
    return out;
}

}  // namespace safelight
