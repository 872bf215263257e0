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

float e8m0(uint8_t bits) {
    return bits == 255 ? std::numeric_limits<float>::quiet_NaN() : std::ldexp(1.f, bits - 127);
}

float e2m1(uint8_t bits) {
    constexpr std::array<float, 8> magnitudes = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6};
    return (bits & 8) != 0 ? -magnitudes[bits & 7] : magnitudes[bits & 7];
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

// Two values in a byte, each as by `value`: the first in the upper half of the byte, or in the lower one.
template <typename F>
void look_up_halves(const std::byte * from, float * to, int64_t count, bool upper_first, F value) {
    for (int64_t i = 0; i < count; i++) {
        const auto byte = std::to_integer<uint8_t>(from[i / 2]);
        const bool upper = (i % 2 == 0) == upper_first;
        to[i] = value(static_cast<uint8_t>(upper ? byte >> 4 : byte & 15));
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

// Multiplies a group of columns by the normalized Kronecker power of the 4 x 4 matrix of ones with -1 on its
// antidiagonal, the rotation of ConvRot (Huang et al. 2025). It is its own inverse. Per base-4 digit of the
// column, y[i] = (x[0] + x[1] + x[2] + x[3]) / 2 - x[3 - i].
void rotate(float * x, int64_t group) {
    for (int64_t step = 1; step < group; step *= 4) {
        for (int64_t i = 0; i < group; i++) {
            if (i / step % 4 != 0) continue;
            float * at = x + i;
            const float a = at[0], b = at[step], c = at[2 * step], d = at[3 * step];
            const float half = (a + b + c + d) / 2;
            at[0] = half - d;
            at[step] = half - c;
            at[2 * step] = half - b;
            at[3 * step] = half - a;
        }
    }
}

// Index of the scale of a block in tiles of 128 rows and 4 blocks, each of 32 runs of 4 rows of 4 blocks.
int64_t tiled_index(int64_t row, int64_t block, int64_t blocks) {
    const int64_t tile = row / 128 * ((blocks + 3) / 4) + block / 4;
    return tile * 512 + row % 32 * 16 + row % 128 / 32 * 4 + block % 4;
}

float scale_at(const weight_scale & s, const std::byte * file, int64_t index) {
    float value = 0;
    decode(s.type, file + s.offset + static_cast<size_t>(index) * block_bytes(s.type), &value, 1);
    return value;
}

// Returns a row of the source as values, `width` of them.
void read_scaled_row(const weight_entry & entry, const std::byte * file, int64_t row, int64_t width,
                     float * to) {
    const weight_scale & s = *entry.scale;
    decode(entry.type, file + entry.offset + bytes_of(entry.type, row * width), to, width);
    float factor = 1;
    if (s.factor != 0) std::memcpy(&factor, file + s.factor, sizeof factor);
    const int64_t block = s.block != 0 ? s.block : width, blocks = width / block;
    for (int64_t b = 0; b < blocks; b++) {
        const int64_t index = s.block != 0 ? tiled_index(row, b, blocks) : s.count == 1 ? 0 : row;
        const float scale = factor * scale_at(s, file, index);
        for (int64_t i = b * block; i < (b + 1) * block; i++) to[i] *= scale;
    }
    for (int64_t i = 0; s.rotation != 0 && i < width; i += s.rotation) rotate(to + i, s.rotation);
}

// Returns elements [first, first + count) of the transformed weight.
std::vector<float> scaled(const weight_entry & entry, const std::byte * file, int64_t first, int64_t count) {
    const int64_t width = element_count(entry.source_dims, 1);
    const bool selects = entry.op == weight_entry::transform::rows;
    const int64_t group = entry.source_dims[0] / entry.groups,
                  selected = selects ? entry.row_end - entry.row_begin : group;
    std::vector<float> line(static_cast<size_t>(width)), out(static_cast<size_t>(count));
    for (int64_t done = 0; done < count;) {
        const int64_t row = (first + done) / width, skipped = (first + done) % width;
        const int64_t n = std::min(width - skipped, count - done);
        const int64_t source = row / selected * group + entry.row_begin + row % selected;
        read_scaled_row(entry, file, source, width, line.data());
        std::copy_n(line.data() + skipped, n, out.data() + done);
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
    static const table e8m0_values = tabulate(e8m0);
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
        case source_type::f8_e8m0:
            look_up(e8m0_values, from, to, count);
            break;
        case source_type::i8:
            std::transform(from, from + count, to,
                           [](std::byte v) { return static_cast<float>(static_cast<int8_t>(v)); });
            break;
        case source_type::i4:
            look_up_halves(from, to, count, false,
                           [](uint8_t v) { return static_cast<float>(v < 8 ? v : v - 16); });
            break;
        case source_type::f4_e2m1:
            look_up_halves(from, to, count, true, e2m1);
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

void convert_rows(const weight_entry & entry, const std::byte * file, int64_t row, int64_t begin, int64_t end,
                  void * to) {
    const std::byte * from = file + entry.offset;
    int64_t count = (end - begin) * row;
    if (entry.scale) {
        encode(entry.storage, scaled(entry, file, begin * row, count).data(), to, count, row);
        return;
    }
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
