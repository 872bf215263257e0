#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

// CPU kernels used by nn/. Maps are channels-last, arithmetic is in f32 apart from products in another
// precision, and weights are in their file's layout and storage type, and expanded panel by panel, or packed.
// Each kernel runs on every thread of a team; its result does not depend on the number of threads.
namespace safelight::kernels {

// Expands `count` consecutive weights of one row to f32 (ggml's to_float of the storage type).
using expand_fn = void (*)(const void * row, float * out, int64_t count);

enum class storage { f32, f16, bf16, blocks };

// Weights [rows, columns] in row-major order; a row of a filter is [Cin, kernel, kernel].
struct weights {
    const void * data;
    size_t row_bytes;
    storage type;
    expand_fn expand;    // for storage::blocks; the kernels expand the other types themselves
    int64_t block;       // weights per block: 1, 32 or 256
    size_t block_bytes;  // bytes per block
};

// Number formats of products. f32: as stored. bf16: operands rounded to bf16, sums in f32. int8: rows of
// activations rounded to int8 with a scale per row, weights with a scale per block of 32 as in ggml's q8_0,
// sums of blocks in int32 and their sum in f32. Attention and Winograd's convolutions compute in bf16 for
// int8.
enum class precision { f32, bf16, int8 };

// A weight [columns, channels, taps] that is packed once for products in a precision, as `pack` does panel by
// panel.
struct packing {
    kernels::precision precision;
    int64_t columns, channels, taps;
    bool gated;  // panels begin anew at the second half of the columns (GEGLU)
};

// Sums of squares: of the differences between weights and their int8 values, and of the weights. 0 in bf16,
// and for q8_0 weights, which are copied.
struct rounding {
    double error = 0, norm = 0;
};

// Products of up to this number of rows are computed by dot products with rows of weights, in f32.
constexpr int64_t few_rows = 4;

// Distributes items of work. Each thread has a lane (up to `lanes`); it first processes its own lane, so that
// data prepared for one item can be reused for the next, and then helps with the others. The last thread to
// finish resets the counters for the next run.
constexpr int lanes = 16;
struct work_counter {
    std::atomic<int64_t> next[lanes]{};
    std::atomic<int> finished{0};
};

struct team {
    int index;
    int count;
    work_counter * counter;
    bool (*cancelled)(const void * token);  // polled between blocks of work; may be null
    const void * token;
};

// Marks this thread as finished. A thread that cannot take part (no scratch memory) must call it too, so that
// the counters are reset.
void leave(const team & t);

enum class activation { none, silu, gelu, quick_gelu, geglu, gelu_tanh };

// ReLU (slope 0) or leaky ReLU, applied to a result last: max(y, slope * y) with a slope from 0 to 1.
struct rectifier {
    bool on;
    float slope;
    const float * channels =
        nullptr;  // slopes of any value per channel (PReLU), which replace `slope`; or null
};

// A map of `channels` channels that a kernel reads as part of a wider map.
struct channel_part {
    const float * x;
    int64_t channels;
};
constexpr int max_parts = 5;
// The channels of every part except the last are a multiple of this.
constexpr int64_t part_granularity = 16;

// GroupNorm of x [batch, pixels, channels], folded into a scale and a shift per channel: the kernel that
// reads x applies x * scale + shift. group_norm_partial computes statistics of fixed chunks of pixels,
// group_norm_fold combines them with gamma and beta.
struct group_norm_args {
    int64_t batch, pixels, channels, groups;
    float eps;
    const float * x;
    const float * gamma;
    const float * beta;
    float * partial;      // [batch, chunks, groups, 2]: mean and sum of squared deviations
    float * scale_shift;  // [batch, 2, channels]
};
int64_t group_norm_chunks(int64_t pixels);

// 3x3 convolution, stride 1, padding 1, by Winograd F(4x4, 3x3), in bf16 by F(2x2, 3x3):
// y = rect(scale (conv(x) + bias + add) + residual_scale residual + residual2).
// Padding is zeros, or the opposite edges of the map with `wraps`.
struct conv3x3_args {
    int64_t batch, height, width, cin, cout;
    const float * x;            // [batch, height, width, cin]
    float * y;                  // [batch, height, width, cout]
    weights w;                  // [cout, cin * 9]
    const float * bias;         // [cout] or null
    const float * scale_shift;  // [batch, 2, cin]: GroupNorm of x, then SiLU if `silu`; or null
    bool silu;
    const float * add;       // [batch, cout] added to every pixel (the time embedding), or null
    const float * residual;  // same shape as y, or null
    rectifier rect;
    const float * residual2 = nullptr;  // same shape as y, or null
    float scale = 1, residual_scale = 1;
    channel_part parts[max_parts] = {};  // maps that are x when concatenated along the channels
    int part_count = 0;                  // 0: x is one map
    bool wraps = false;
    // bf16: F(2x2) with filters, transformed pixels and transformed filters rounded to bf16. int8: F(4x4)
    // with the same rounding, which needs fewer products and is less exact; a product in int8 if is_product.
    kernels::precision precision = precision::f32;
    const void * packed = nullptr;  // w packed, or null; for bf16 unless it is a product in int8
};
// Returns true for maps so small that transforming the filters costs more than it saves. They are computed as
// a product of gathered pixels, which supports neither parts nor scales.
bool is_product(const conv3x3_args &);

// y = rect(act(norm(x) W^T + bias) + residual) over rows. Also computes all convolutions except 3x3 with
// stride 1, by gathering rows.
struct gemm_args {
    int64_t rows, columns, depth;  // y [rows, columns (half of it for geglu)], W [columns, depth]
    const float * x;               // [rows, depth], row stride ldx
    int64_t ldx;
    float * y;
    int64_t ldy;
    weights w;
    const float * bias;
    activation act;
    const float * residual;     // same shape as y, or null
    const float * scale_shift;  // [batch, 2, channels], each for rows_per_batch rows, or null
    int64_t rows_per_batch;
    bool silu;                 // applied to x after scale_shift
    const float * norm_gamma;  // LayerNorm over each row of x, or null
    const float * norm_beta;
    float norm_eps;
    // For a convolution: x is [batch, height, width, cin], rows are output pixels, depth is cin * kh * kw.
    struct {
        int64_t height, width, cin, kernel, stride, pad_begin, out_height, out_width;
        bool wraps;     // pads with the opposite edges of the map instead of zeros
    } conv;             // kernel 0 for a linear layer
    const float * add;  // [batch, columns], each for rows_per_batch rows, or null
    rectifier rect;
    // Applies to x, as it is read, and W. Products of few_rows are f32.
    kernels::precision precision;
    const void * packed;  // w packed for this precision, or null
    // A second product that is added to the first, before bias and activation: x [rows, depth] as it is, W
    // [columns, depth]; depth 0 for none.
    struct {
        const float * x;
        int64_t ldx, depth;
        weights w;
    } second;
};

// softmax(q k^T * scale + bias + mask) v for every head, without storing the score matrix.
struct attention_args {
    int64_t batch, heads, head_dim, queries, keys;
    const float * q;  // [batch, queries, heads, head_dim] with token stride ldq
    const float * k;
    const float * v;
    float * y;
    int64_t ldq, ldk, ldv, ldy;
    int64_t batch_q, batch_k, batch_v, batch_y;  // elements between batches
    float scale;
    bool causal;  // query i attends to the keys up to past + i, and to all of the first `unmasked`
    int64_t past, unmasked;
    const float * bias = nullptr;  // [heads, queries, keys] or null
    const float * mask = nullptr;  // [masks, queries, keys] or null: batch b uses mask b % masks
    int64_t masks = 0;
    kernels::precision precision =
        precision::f32;  // not f32: queries (scaled), keys, values and softmax weights are rounded to bf16
};

// Nearest-neighbor resampling to height x width: pixel (i, j) is copied from (floor(i h / height),
// floor(j w / width)).
struct upsample_args {
    int64_t batch, from_height, from_width, height, width, channels;
    const float * x;
    float * y;
};

// 3x3 convolution of each channel by itself, stride 1, padding 1.
struct depthwise3x3_args {
    int64_t batch, height, width, channels;
    const float * x;     // [batch, height, width, channels]
    float * y;           // same shape
    const float * w;     // [channels, 9]
    const float * bias;  // [channels]
};

// Index of the nearest code of each row, as in VQGAN's VectorQuantizer2: the first minimum of |z|² + |e|² - 2
// z·e, with each of the terms rounded to f32. Products are summed in double, so the result is the same on
// every processor.
struct nearest_code_args {
    int64_t rows, codes, width;
    const float * x;         // [rows, width]
    const float * codebook;  // [codes, width]
    int32_t * index;         // [rows], or null
    float * distances;       // [rows, codes], or null
};

struct table {
    const char * name;
    bool bf16, int8;  // the instruction set has products of these numbers
    void (*group_norm_partial)(const group_norm_args &, const team &);
    void (*group_norm_fold)(const group_norm_args &, const team &);
    void (*conv3x3)(const conv3x3_args &, const team &);
    void (*gemm)(const gemm_args &, const team &);
    void (*rows)(const gemm_args &, const team &);  // y = act(norm(x)) [rows, depth], without a product
    void (*attention)(const attention_args &, const team &);
    void (*upsample)(const upsample_args &, const team &);
    void (*nearest_code)(const nearest_code_args &, const team &);
    void (*depthwise3x3)(const depthwise3x3_args &, const team &);
    int panel_columns;  // output columns of a panel of a packed weight
    // The panels of a packed weight, each of packed_panel_bytes, which can be packed on several threads.
    int64_t (*packed_panels)(const packing &);
    size_t (*packed_panel_bytes)(const packing &);
    // Packs one panel. Throws std::bad_alloc.
    rounding (*pack)(const weights &, const packing &, int64_t panel, void * out);
};

// Returns the kernels for the best instruction set that this processor supports, or those selected by the
// environment variable SAFELIGHT_ISA (portable, avx2, avxvnni, avx512, avx512vnni, avx512bf16, neon or
// neonbf16) if the processor supports them.
const table & active();
const table * find(const char * name);  // null if the name is unknown or the processor does not support it

}  // namespace safelight::kernels
