#pragma once

#include <cstdint>

#include "runtime/graph/graph.h"

namespace safelight {

// Nearest neighbour to the given size: pixel (i, j) is taken from (⌊i·h/height⌋, ⌊j·w/width⌋).
tensor upsample_nearest(model_ref m, tensor x, int64_t height, int64_t width);
// The mean of every 2x2 pixels; an odd last row or column is left out. [B, C, H, W] -> [B, C, H/2, W/2].
tensor average_2x2(model_ref m, tensor x);
// The largest of every two by two pixels; an odd last row or column is left out.
tensor max_pool(model_ref m, tensor x);
// A row of zeros below and a column to the right (the autoencoder's asymmetric padding).
tensor pad_bottom_right(model_ref m, tensor x);

}  // namespace safelight
