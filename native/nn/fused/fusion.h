#pragma once

#include <cstdint>
#include <unordered_map>
#include <unordered_set>

#include "kernels/kernels.h"
#include "runtime/graph/graph.h"

namespace safelight {

// On the CPU, operations become nodes of our kernels (kernels/), which do more than one operation at a time.
// Models do not know: they ask for a norm, then an activation, then a convolution, then a sum. Each call here
// looks at what its argument was made by; where one kernel can do both, it makes a new node for the two, and
// the earlier one is never reached from an output and so never computed. Maps lie channels-last there: [C, W,
// H, B] in ggml's order.

// Whether this graph is built that way: on the CPU, unless stock operations or taps were asked for.
bool fuses(model_ref m);

// What a kernel does to the rows it reads: act(norm(x)).
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

// A linear layer or a convolution and what is done to its result.
struct product {
    product_kind kind = product_kind::linear;
    prologue in;
    tensor w = nullptr;
    tensor bias = nullptr;
    int64_t out = 0;
    int kernel = 1, stride = 1, pad_begin = 0;  // of a convolution
    int64_t ne[4] = {1, 1, 1, 1};               // of the result
    kernels::activation act = kernels::activation::none;
    tensor add = nullptr;       // [out, B]: to every pixel of each map
    tensor residual = nullptr;  // like the result
    size_t order = 0;           // among the products of the graph
};

// What nodes of a graph were made by. A reshape of one stands for it.
struct fusion {
    std::unordered_map<tensor, prologue> prologues;
    std::unordered_map<tensor, product> products;
    std::unordered_set<tensor> causal_masks;
};
fusion & fusion_of(model_ref m);

// x as something a kernel reads: itself, or what it was normalized from.
prologue as_prologue(model_ref m, tensor x);
// A node that computes the prologue alone, for those that cannot read it, remembered for those that can.
tensor emit(model_ref m, const prologue & p);
tensor emit(model_ref m, const product & p);
// The same values in another shape, still known as what made them.
tensor reshape_known(model_ref m, tensor x, int64_t ne0, int64_t ne1, int64_t ne2, int64_t ne3);

// x with one more operation in the node that makes it, or null where that node cannot take it (or x is not
// made by one of ours): silu(norm), act(product), product + v by channel.
tensor with_silu_of_norm(model_ref m, tensor x);
tensor with_activation(model_ref m, tensor x, kernels::activation act);
tensor with_channel_sum(model_ref m, tensor x, tensor v);
// a + b in the node that makes one of them, or null. Of two products the later one takes the other in: what
// is older may have other readers, for whom it would have to be computed a second time.
tensor sum_with_product(model_ref m, tensor a, tensor b);

// GroupNorm's statistics of a channels-last map as scale and shift [C, 2, B].
tensor group_norm_scale_shift(model_ref m, tensor x, tensor gamma, tensor beta, int64_t groups, float eps);
// The same of y·(1 + scale) + shift, where y is what that scale and shift give and modulation is [2C, B].
tensor modulated_scale_shift(model_ref m, tensor scale_shift, tensor modulation);
// q [C, Tq, B], k and v [C, Tk, B] -> [C, Tq, B]
tensor emit_attention(model_ref m, tensor q, tensor k, tensor v, int64_t heads, bool causal);
// A channels-last map to another size.
tensor emit_upsample(model_ref m, tensor x, int64_t height, int64_t width);

}  // namespace safelight
