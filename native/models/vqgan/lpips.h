#pragma once

#include <memory>

#include "runtime/graph/graph.h"

namespace safelight {

// Learned perceptual image patch similarity (LPIPS; Zhang et al. 2018) as in taming-transformers: VGG16
// feature maps of two images at five depths, each pixel normalized to length 1, squared differences weighted
// by channel and averaged. Entry `compare`: a and b [B, 3, H, W] in [-1, 1] -> distance [B] and, per depth,
// layers [5, B]. Parameters are named as in taming's LPIPS: net.sliceN.M, linN.model.1.
std::unique_ptr<architecture> make_lpips(const config & cfg);

}  // namespace safelight
