#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

// CPU kernels behind nn/: channels-last, f32 arithmetic, weights in their file's layout and storage type,
// expanded panel by panel while they are used. Each runs on every thread of a team; what one computes does
// not depend on how many there are.
namespace safelight::kernels {

// Expands `count` consecutive weights of one row to f32 (ggml's to_float of the storage type).
using expand_fn = void (*)(const void * row, float * out, int64_t count);

enum class storage { f32, f16, bf16, blocks };

// Weights [rows, columns] in storage order; a row of a filter holds [Cin, kernel, kernel].
struct weights {
    const void * data;
    size_t row_bytes;
    storage type;
    expand_fn expand;    // of blocks; the others are expanded here
    int64_t block;       // weights in a block: 1, 32 or 256
    size_t block_bytes;  // bytes of a block
};

// Work is handed out in items, from one lane for each thread (up to `lanes`): a thread goes through its own
// lane, so that what it prepared for one item is there for the next, then helps in the others'. The last
// thread to finish makes the counters ready for the next run.
constexpr int lanes = 16;
struct work_counter {
    std::atomic<int64_t> next[lanes]{};
    std::atomic<int> finished{0};
};

struct team {
    int index;
    int count;
    work_counter * counter;
    bool (*cancelled)(const void * token);  // asked between blocks of work; may be null
    const void * token;
};

// For a thread that cannot take part (no memory for its scratch): the others' counter still has to come out
// right.
void leave(const team & t);

enum class activation { none, silu, gelu, quick_gelu, geglu, gelu_tanh };

// GroupNorm's statistics of x [batch, pixels, channels] as a scale and a shift for each channel, so that the
// reader of x applies x * scale + shift: first partial means over fixed chunks of pixels, then the two of
// them folded with gamma and beta.
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

// 3x3 convolution, stride 1, padding 1, by Winograd F(4x4, 3x3).
struct conv3x3_args {
    int64_t batch, height, width, cin, cout;
    const float * x;            // [batch, height, width, cin]
    float * y;                  // [batch, height, width, cout]
    weights w;                  // [cout, cin * 9]
    const float * bias;         // [cout] or null
    const float * scale_shift;  // [batch, 2, cin]: GroupNorm of x, then SiLU if `silu`; or null
    bool silu;
    const float * add;       // [batch, cout] added to every pixel (the time embedding), or null
    const float * residual;  // like y, or null
};

// y = act(norm(x) W^T + bias) + residual over rows; also every convolution that is not 3x3 with stride 1
// (rows are gathered).
struct gemm_args {
    int64_t rows, columns, depth;  // y [rows, columns (half of it for geglu)], W [columns, depth]
    const float * x;               // [rows, depth], row stride ldx
    int64_t ldx;
    float * y;
    int64_t ldy;
    weights w;
    const float * bias;
    activation act;
    const float * residual;     // like y, or null
    const float * scale_shift;  // [batch, 2, channels] over rows_per_batch rows each, or null
    int64_t rows_per_batch;
    bool silu;                 // applied to x after scale_shift
    const float * norm_gamma;  // LayerNorm over each row of x, or null
    const float * norm_beta;
    float norm_eps;
    // A convolution: x is [batch, height, width, cin], rows are output pixels, depth is cin * kh * kw.
    struct {
        int64_t height, width, cin, kernel, stride, pad_begin, out_height, out_width;
    } conv;             // kernel 0: not a convolution
    const float * add;  // [batch, columns] over rows_per_batch rows each, or null
};

// softmax(q k^T * scale + mask) v for every head, without the score matrix.
struct attention_args {
    int64_t batch, heads, head_dim, queries, keys;
    const float * q;  // [batch, queries, heads, head_dim] with token strides ldq
    const float * k;
    const float * v;
    float * y;
    int64_t ldq, ldk, ldv, ldy;
    int64_t batch_q, batch_k, batch_v, batch_y;  // elements between batches
    float scale;
    bool causal;  // query i sees the keys up to past + i, and all of the first `unmasked`
    int64_t past, unmasked;
};

// Nearest neighbour to height x width: pixel (i, j) comes from (floor(i h / height), floor(j w / width)).
struct upsample_args {
    int64_t batch, from_height, from_width, height, width, channels;
    const float * x;
    float * y;
};

// The code of a codebook that is nearest to each row, as VQGAN's VectorQuantizer2 finds it: |z|² + |e|² - 2
// z·e, where each of the four terms is rounded to f32 and the first of the smallest wins. Products are summed
// in double, so the choice is the same on every processor.
struct nearest_code_args {
    int64_t rows, codes, width;
    const float * x;         // [rows, width]
    const float * codebook;  // [codes, width]
    int32_t * index;         // [rows], or null
    float * distances;       // [rows, codes], or null
};

struct table {
    const char * name;
    void (*group_norm_partial)(const group_norm_args &, const team &);
    void (*group_norm_fold)(const group_norm_args &, const team &);
    void (*conv3x3)(const conv3x3_args &, const team &);
    void (*gemm)(const gemm_args &, const team &);
    void (*rows)(const gemm_args &, const team &);  // y = act(norm(x)) [rows, depth] alone, without a product
    void (*attention)(const attention_args &, const team &);
    void (*upsample)(const upsample_args &, const team &);
    void (*nearest_code)(const nearest_code_args &, const team &);
};

// The best of what this processor runs; SAFELIGHT_ISA=portable|avx2|avx512|neon in the environment asks for
// another.
const table & active();
const table * find(const char * name);  // null if it is unknown here or this processor cannot run it

}  // namespace safelight::kernels
