#include "nn/attention/channel.h"

#include "nn/attention/qkv.h"

namespace safelight {
namespace {

constexpr float norm_eps = 1e-12f;  // smallest norm that is divided by, as in PyTorch

// The channels' values over all tokens, of norm 1: [B, heads, T, d] -> [B, heads, d, T].
tensor normalized_channels(model_ref m, tensor x) {
    return ggml_l2_norm(m.ctx(), ggml_cont(m.ctx(), ggml_permute(m.ctx(), x, 1, 0, 2, 3)), norm_eps);
}

tensor product(model_ref m, tensor a, tensor b) {
    tensor y = ggml_mul_mat(m.ctx(), a, b);
    ggml_mul_mat_set_prec(y, GGML_PREC_F32);
    return y;
}

}  // namespace

tensor channel_attention(model_ref m, tensor qkv, int64_t heads, tensor temperature) {
    ggml_context * ctx = m.ctx();
    tensor q = normalized_channels(m, packed_part(m, qkv, heads, 0));
    tensor k = normalized_channels(m, packed_part(m, qkv, heads, 1));
    tensor v = ggml_cont(ctx, packed_part(m, qkv, heads, 2));
    tensor scores = ggml_mul(ctx, product(m, k, q), ggml_reshape_4d(ctx, temperature, 1, 1, heads, 1));
    tensor y = product(m, ggml_soft_max(ctx, scores), v);  // [d, T, heads, B]
    y = ggml_cont(ctx, ggml_permute(ctx, y, 0, 2, 1, 3));
    return ggml_reshape_3d(ctx, y, y->ne[0] * y->ne[1], y->ne[2], y->ne[3]);
}

}  // namespace safelight
