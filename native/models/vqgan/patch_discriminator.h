#pragma once

#include <memory>

#include "runtime/graph/graph.h"

namespace safelight {

// pix2pix' discriminator of patches (Isola et al. 2017; taming's NLayerDiscriminator), as VQGAN trains
// against it: convolutions of 4x4, each followed by a norm (BatchNorm with the statistics of training, or
// ActNorm) and LeakyReLU. Entry `score`: image [B, C, H, W] -> logits [B, 1, h, w], larger where a patch
// looks more real. Names are the reference's own: main.N.
std::unique_ptr<architecture> make_patch_discriminator(const config & cfg);

}  // namespace safelight
