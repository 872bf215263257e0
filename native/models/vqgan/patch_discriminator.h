#pragma once

#include <memory>

#include "runtime/graph/graph.h"

namespace safelight {

// PatchGAN discriminator (pix2pix: Isola et al. 2017; taming's NLayerDiscriminator) used to train VQGANs: 4x4
// convolutions, each followed by a norm (BatchNorm with its training statistics, or ActNorm) and LeakyReLU.
// Entry `score`: image [B, C, H, W] -> logits [B, 1, h, w], larger for patches that look more real.
// Parameters are named as in taming: main.N.
std::unique_ptr<architecture> make_patch_discriminator(const config & cfg);

}  // namespace safelight
