#pragma once

#include <cstdint>

#include "runtime/graph/graph.h"

namespace safelight {

// Nearest-neighbor resampling to the given size: pixel (i, j) is copied from (⌊i·h/height⌋, ⌊j·w/width⌋).
tensor upsample_nearest(model_ref m, tensor x, int64_t height, int64_t width);
// 2x2 average pooling; ignores an odd last row or column. [B, C, H, W] -> [B, C, H/2, W/2].
tensor average_2x2(model_ref m, tensor x);
// 2x2 max pooling; ignores an odd last row or column. [B, C, H, W] -> [B, C, H/2, W/2].
tensor max_pool(model_ref m, tensor x);
// Moves blocks of factor² channels into space (Shi et al. 2016): [B, C·f², H, W] -> [B, C, H·f, W·f]; channel
// c·f² + i·f + j becomes row i and column j of each square of channel c.
tensor pixel_shuffle(model_ref m, tensor x, int64_t factor);
// The inverse of pixel_shuffle: [B, C, H·f, W·f] -> [B, C·f², H, W].
tensor pixel_unshuffle(model_ref m, tensor x, int64_t factor);
// Pads a row of zeros at the bottom and a column at the right (the autoencoder's asymmetric padding).
tensor pad_bottom_right(model_ref m, tensor x);

}  // namespace safelight
