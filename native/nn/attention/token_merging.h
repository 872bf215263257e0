#pragma once

#include <cstdint>

#include "runtime/graph/graph.h"

namespace safelight {

// Token merging (Bolya and Hoffman 2023, arXiv:2303.17604) of the pixels of a map, on the CPU only. The top
// left pixel of each 2x2 cell is a destination, all others are sources. The ratio·H·W sources that are most
// similar (by cosine) to a destination are merged into it.
struct token_merging {
    tensor positions;      // I32 [B, T]: index of each token among the merged ones
    int64_t source_count;  // tokens that are merged into others
};

// Matches the tokens x [B, H·W, C]. Throws INVALID_OPTION on other backends than the CPU.
token_merging match_tokens(model_ref m, tensor x, int64_t height, int64_t width, double ratio);
// Returns the means of the merged tokens: [B, T, C] -> [B, T - source_count, C].
tensor merge_tokens(model_ref m, tensor x, const token_merging & merging);
// Returns each token's copy of its merged token: [B, T - source_count, C] -> [B, T, C].
tensor unmerge_tokens(model_ref m, tensor x, const token_merging & merging);

}  // namespace safelight
