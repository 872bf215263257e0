#pragma once

#include <cstdint>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "kernels/kernels.h"
#include "runtime/graph/graph.h"

namespace safelight {

// Operation fusion on the CPU. Our kernels (kernels/) compute several operations in one graph node. Models
// are not aware of this: they request a norm, then an activation, a convolution, a sum. Each of these
// functions checks which node produced its argument; if one kernel can compute both operations, it creates a
// new node for both, and the earlier node, which no output depends on, is never computed. Maps are
// channels-last in such graphs: [C, W, H, B] in ggml's order.

// Returns true if this graph is fused: on the CPU, without stock_ops, taps, overrides or node listing.
bool fuses(model_ref m);
// Returns the precision of the products of layers here.
kernels::precision precision_of(model_ref m);
// Returns the precision of a product with so many rows in each item of the batch. Few rows are computed in
// f32, whatever the size of the batch, so that results do not depend on it.
kernels::precision precision_of_rows(model_ref m, int64_t rows);

// Operations applied to rows while a kernel reads them: act(norm(x)).
struct prologue {
    tensor x = nullptr;
    tensor scale_shift = nullptr;  // GroupNorm: [C, 2, B]
    tensor gamma = nullptr;        // LayerNorm
    tensor beta = nullptr;
    float eps = 0;
    bool silu = false;

    bool plain() const { return !scale_shift && !gamma && !silu; }
};

enum class product_kind { linear, convolution };

// A linear layer or a convolution, and the operations applied to its result.
struct product {
    product_kind kind = product_kind::linear;
    prologue in;
    tensor w = nullptr;
    tensor bias = nullptr;
    kernels::precision precision = kernels::precision::f32;
    int64_t out = 0;
    int kernel = 1, stride = 1, pad_begin = 0;  // of a convolution
    bool wraps = false;            // the convolution pads with the opposite edges of the map instead of zeros
    int64_t ne[4] = {1, 1, 1, 1};  // shape of the result in ggml's order
    kernels::activation act = kernels::activation::none;
    tensor add = nullptr;                            // [out, B], added to every pixel of each map
    tensor residual = nullptr;                       // added to the result, of the same shape
    tensor second_in = nullptr, second_w = nullptr;  // of a linear layer: W2 · second_in is added to W · in
    kernels::rectifier rect{};                       // applied last; nothing can be fused after it
    tensor slopes = nullptr;                         // of `rect` per channel, [out] (PReLU)
    // Further terms of a Winograd convolution: scale·result + residual_scale·residual + residual2.
    float scale = 1, residual_scale = 1;
    tensor residual2 = nullptr;
    std::vector<tensor> parts;  // of in.x, if a Winograd convolution reads them instead
    size_t order = 0;           // order of creation among the graph's products

    // True for the convolutions that kernels::conv3x3 computes.
    bool winograd() const {
        return kind == product_kind::convolution && kernel == 3 && stride == 1 && pad_begin == 1;
    }
};

// Descriptions of the fused nodes of a graph, and of their reshapes.
struct fusion {
    std::unordered_map<tensor, prologue> prologues;
    std::unordered_map<tensor, product> products;
    std::unordered_map<tensor, std::vector<tensor>> concatenations;  // parts of maps along the channels
    std::unordered_set<tensor> causal_masks;
};
fusion & fusion_of(model_ref m);

// Returns the prologue that produced x, or one that reads x unchanged.
prologue as_prologue(model_ref m, tensor x);
// Creates a node. The node of a prologue is computed only for consumers that cannot apply the prologue while
// reading.
tensor emit(model_ref m, const prologue & p);
tensor emit(model_ref m, const product & p);
// Reshapes x. Operations can still be fused with the result.
tensor reshape_fused(model_ref m, tensor x, int64_t ne0, int64_t ne1, int64_t ne2, int64_t ne3);

// Return a node that computes x and one more operation: silu(norm), act(product), product + v per channel, or
// a rectified product.
// Null if x is not one of our nodes or its kernel cannot compute the operation.
tensor with_silu_of_norm(model_ref m, tensor x);
tensor with_activation(model_ref m, tensor x, kernels::activation act);
tensor with_channel_sum(model_ref m, tensor x, tensor v);
tensor with_rectifier(model_ref m, tensor x, float slope);
tensor with_channel_rectifier(model_ref m, tensor x, tensor slopes);
// Returns a node that computes one of a and b and adds the other, or null. If both are products, the one
// created later is extended: the earlier one may have other consumers, for which it would be computed again.
tensor sum_with_product(model_ref m, tensor a, tensor b);

// Returns a node that computes the product x, scales it and adds y: scale·x + y; or null.
tensor scaled_sum_with_product(model_ref m, tensor x, float scale, tensor y);
// Concatenates channels-last maps. A Winograd convolution reads the parts, so that the concatenation is not
// computed for it.
tensor concatenated(model_ref m, tensor a, tensor b);
// Returns the parts of a concatenation that a Winograd convolution can read; empty for other maps.
std::vector<tensor> readable_parts(model_ref m, tensor x);

// Folds GroupNorm of a channels-last map into a scale and shift per channel: [C, 2, B].
tensor group_norm_scale_shift(model_ref m, tensor x, tensor gamma, tensor beta, int64_t groups, float eps);
// Folds the modulation y·(1 + scale) + shift [2C, B] of the normalized map y into its scale and shift.
tensor modulated_scale_shift(model_ref m, tensor scale_shift, tensor modulation);
// q [C, Tq, B], k and v [C, Tk, B] -> [C, Tq, B]
tensor emit_attention(model_ref m, tensor q, tensor k, tensor v, int64_t heads, bool causal);
// Attention of packed queries, keys and values [3C, T, B] -> [C, T, B]. `bias` [T, T, heads] is added to the
// scores, and `mask` [T, T, 1, masks] to those of item b % masks; null for none.
tensor emit_packed_attention(model_ref m, tensor qkv, int64_t heads, tensor bias, tensor mask);
// 3x3 convolution of each channel of a channels-last map by itself; w [3, 3, 1, C] and bias [C] in f32.
tensor emit_depthwise(model_ref m, tensor x, tensor w, tensor bias);
// Nearest-neighbor resampling of a channels-last map.
tensor emit_upsample(model_ref m, tensor x, int64_t height, int64_t width);

}  // namespace safelight
