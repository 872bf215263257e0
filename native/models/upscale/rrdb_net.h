#pragma once

#include <memory>

#include "runtime/graph/graph.h"

namespace safelight {

// RRDBNet, the upscaling network of ESRGAN (Wang et al. 2018), BSRGAN and Real-ESRGAN, with the names of
// Real-ESRGAN's implementation: residual blocks of three dense blocks each, then a nearest-neighbor
// upsampling and a convolution per doubling. ESRGAN+ (Rakotonirina and Rasoanaivo 2020) adds paths to the
// dense blocks.
//
// Config: in_channels, out_channels, num_feat, num_grow_ch, num_block, doublings (0 to 4), unshuffle (1, 2 or
// 4), plus. Entry `upscale`: image [B, in_channels, H, W] -> image [B, out_channels, H·s, W·s] with the scale
// s = 2^doublings / unshuffle. H and W are multiples of `unshuffle`.
std::unique_ptr<architecture> make_rrdb_net(const config & cfg);

}  // namespace safelight
