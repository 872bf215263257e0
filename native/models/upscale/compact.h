#pragma once

#include <memory>

#include "runtime/graph/graph.h"

namespace safelight {

// SRVGGNetCompact, the small upscaling network of Real-ESRGAN (Wang et al. 2021): convolutions at the
// resolution of the input, a pixel shuffle, and the image upsampled by nearest neighbor added to the result.
//
// Config: in_channels, out_channels, num_feat, num_conv, upscale. Entry `upscale`: image [B, in_channels, H,
// W] -> image [B, out_channels, H·upscale, W·upscale].
std::unique_ptr<architecture> make_compact(const config & cfg);

}  // namespace safelight
