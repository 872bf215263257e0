#include "runtime/weights/convert.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "ggml-cpu.h"
#include "runtime/graph/shape.h"
#include "runtime/graph/strided.h"

namespace safelight {

namespace {

// 8-bit floats of "FP8 Formats for Deep Learning" (Micikevicius et al. 2022). E4M3 has no infinity and one
// NaN per sign; E5M2 follows IEEE 754 and equals the upper byte of a half-precision float.
float e4m3(uint8_t bits) {
    int exponent = (bits >> 3) & 15, mantissa = bits & 7;
    float magnitude = exponent == 15 && mantissa == 7 ? std::numeric_limits<float>::quiet_NaN()
                      : exponent == 0                 ? std::ldexp(static_cast<float>(mantissa), -9)
                                      : std::ldexp(static_cast<float>(8 + mantissa), exponent - 10);
    return (bits & 0x80) != 0 ? -magnitude : magnitude;
}

float e5m2(uint8_t bits) {
    return ggml_fp16_to_fp32(static_cast<ggml_fp16_t>(bits << 8));
}

using table = std::array<float, 256>;

table tabulate(float (*value)(uint8_t)) {
    table out;
    for (size_t i = 0; i < out.size(); i++) {
        out[i] = value(static_cast<uint8_t>(i));
    }
    return out;
}

void look_up(const table & values, const std::byte * from, float * to, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        to[i] = values[std::to_integer<size_t>(from[i])];
    }
}

// Values in files are not aligned, so they are copied before they are read as numbers.
template <typename T, typename F>
void convert_unaligned(const std::byte * from, float * to, int64_t count, F convert) {
    constexpr int64_t piece = 512;
    T values[piece];
    for (int64_t done = 0; done < count; done += piece) {
        int64_t n = std::min(piece, count - done);
        std::memcpy(values, from + done * static_cast<int64_t>(sizeof(T)),
                    static_cast<size_t>(n) * sizeof(T));
        convert(values, to + done, n);
    }
}

// Dequantizes whole blocks. ggml requires blocks aligned to two bytes, so they are copied first.
void expand(ggml_type type, const std::byte * from, float * to, int64_t count) {
    constexpr size_t piece = 64;     // blocks
    constexpr size_t largest = 512;  // bytes of a block of any type
    alignas(16) std::byte blocks[piece * largest];
    auto elements = static_cast<size_t>(ggml_blck_size(type)), bytes = ggml_type_size(type);
    ggml_to_float_t to_float = ggml_get_type_traits(type)->to_float;
    if (to_float == nullptr || bytes > largest) {
        throw error("UNSUPPORTED_MODEL",
                    std::string("Weights of type ") + ggml_type_name(type) + " cannot be read");
    }
    for (size_t done = 0, all = static_cast<size_t>(count) / elements; done < all; done += piece) {
        size_t n = std::min(piece, all - done);
        std::memcpy(blocks, from + done * bytes, n * bytes);
        to_float(blocks, to + done * elements, static_cast<int64_t>(n * elements));
    }
}

// Returns columns [begin, end) of the entry's source [height, width] as rows.
std::vector<float> transposed(const weight_entry & entry, const std::byte * from, int64_t begin,
                              int64_t end) {
    int64_t height = entry.source_dims[0], width = entry.source_dims[1];
    int64_t block = block_elements(entry.type);
    int64_t first = begin / block * block, last = std::min(width, (end + block - 1) / block * block);
    std::vector<float> line(static_cast<size_t>(last - first));
    std::vector<float> out(static_cast<size_t>((end - begin) * height));
    for (int64_t j = 0; j < height; j++) {
        decode(entry.type, from + bytes_of(entry.type, j * width + first), line.data(), last - first);
        for (int64_t i = begin; i < end; i++) {
            out[static_cast<size_t>((i - begin) * height + j)] = line[static_cast<size_t>(i - first)];
        }
    }
    return out;
}

// Returns elements [first, first + count) of the rows that the entry selects from each group of source rows.
std::vector<float> gathered(const weight_entry & entry, const std::byte * from, int64_t first,
                            int64_t count) {
    int64_t row = element_count(entry.source_dims, 1);
    int64_t selected_elements = (entry.row_end - entry.row_begin) * row;  // elements selected from each group
    int64_t group_elements = entry.source_dims[0] / entry.groups * row;   // elements of a group
    std::vector<float> out(static_cast<size_t>(count));
    for (int64_t done = 0; done < count;) {
        int64_t at = first + done;
        int64_t n = std::min(selected_elements - at % selected_elements, count - done);
        int64_t source =
            at / selected_elements * group_elements + entry.row_begin * row + at % selected_elements;
        decode(entry.type, from + bytes_of(entry.type, source), out.data() + done, n);
        done += n;
    }
    return out;
}

// ggml's vectorized conversion of f16 converts the rest of a row by a table that ggml_cpu_init fills.
void f16_to_f32(const ggml_fp16_t * from, float * to, int64_t count) {
    static const bool filled = [] {
        ggml_cpu_init();
        return true;
    }();
    (void)filled;
    ggml_cpu_fp16_to_fp32(from, to, count);
}

}  // namespace

void decode(source_type type, const std::byte * from, float * to, int64_t count) {
    static const table e4m3_values = tabulate(e4m3);
    static const table e5m2_values = tabulate(e5m2);
    switch (type) {
        case source_type::f64:
            convert_unaligned<double>(from, to, count, [](const double * x, float * y, int64_t n) {
                std::transform(x, x + n, y, [](double v) { return static_cast<float>(v); });
            });
            break;
        case source_type::f32:
            std::memcpy(to, from, static_cast<size_t>(count) * sizeof(float));
            break;
        case source_type::f16:
            convert_unaligned<ggml_fp16_t>(from, to, count, f16_to_f32);
            break;
        case source_type::bf16:
            convert_unaligned<ggml_bf16_t>(from, to, count, ggml_bf16_to_fp32_row);
            break;
        case source_type::f8_e4m3:
            look_up(e4m3_values, from, to, count);
            break;
        case source_type::f8_e5m2:
            look_up(e5m2_values, from, to, count);
            break;
        default:
            expand(static_cast<ggml_type>(type), from, to, count);
    }
}

void encode(ggml_type type, const float * from, void * to, int64_t count, int64_t row) {
    switch (type) {
        case GGML_TYPE_F32:
            std::memcpy(to, from, static_cast<size_t>(count) * sizeof(float));
            break;
        case GGML_TYPE_F16:
            ggml_cpu_fp32_to_fp16(from, static_cast<ggml_fp16_t *>(to), count);
            break;
        case GGML_TYPE_BF16:
            ggml_fp32_to_bf16_row(from, static_cast<ggml_bf16_t *>(to), count);
            break;
        default:
            ggml_quantize_chunk(type, from, to, 0, count / row, row, nullptr);
    }
}

bool same_bytes(source_type from, ggml_type to) {
    return static_cast<int>(from) == static_cast<int>(to);
}

void convert_rows(const weight_entry & entry, const std::byte * from, int64_t row, int64_t begin, int64_t end,
                  void * to) {
    int64_t count = (end - begin) * row;
    if (!entry.strides.empty()) {
        std::vector<float> values(static_cast<size_t>(count));
        decode(entry.type, gather(entry, from, begin * row, count).data(), values.data(), count);
        encode(entry.storage, values.data(), to, count, row);
        return;
    }
    if (entry.op == weight_entry::transform::transpose) {
        encode(entry.storage, transposed(entry, from, begin, end).data(), to, count, row);
        return;
    }
    if (entry.op == weight_entry::transform::rows && entry.groups > 1) {
        encode(entry.storage, gathered(entry, from, begin * row, count).data(), to, count, row);
        return;
    }
    int64_t skipped = 0;  // elements of the source before the result's first one
    if (entry.op == weight_entry::transform::rows) {
        skipped = entry.row_begin * element_count(entry.source_dims, 1);
    }
    int64_t block = block_elements(entry.type);
    int64_t first = skipped + begin * row, lead = first % block;
    const std::byte * bytes = from + bytes_of(entry.type, first - lead);
    if (same_bytes(entry.type, entry.storage) && lead == 0 && count % block == 0) {
        std::memcpy(to, bytes, bytes_of(entry.type, count));
        return;
    }
    // A result whose rows are shorter than the source's blocks ([C] as [C, 1]) may begin in the middle of a
    // block.
    int64_t padded = (lead + count + block - 1) / block * block;
    std::vector<float> values(static_cast<size_t>(padded));
    decode(entry.type, bytes, values.data(), padded);
    encode(entry.storage, values.data() + lead, to, count, row);
}

}  // namespace safelight
