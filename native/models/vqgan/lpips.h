#pragma once

#include <memory>

#include "runtime/graph/graph.h"

namespace safelight {

// Learned perceptual distance (Zhang et al. 2018) as taming's LPIPS has it: VGG16's maps of two pictures at
// five depths, each pixel brought to length 1, squared differences weighted by channel and averaged. Entry
// `compare`: a and b [B, 3, H, W] in [-1, 1] -> distance [B] and, by depth, layers [5, B]. Names are the
// reference's own: net.sliceN.M, linN.model.1.
std::unique_ptr<architecture> make_lpips(const config & cfg);

}  // namespace safelight
