#pragma once

#include <cstdint>
#include <vector>

#include "models/checks.h"
#include "runtime/graph/graph.h"

namespace safelight {

// Blocks shared by the transformers for upscaling (SwinIR and DAT).

enum class upsampling {
    none,            // the network predicts the difference from the image
    shuffle,         // a convolution and a pixel shuffle per factor
    shuffle_direct,  // one convolution to the channels of the result, and a pixel shuffle
    nearest          // nearest-neighbor upsampling and a convolution per doubling
};

// Layers after the transformer that turn its features into an image.
struct reconstruction {
    upsampling kind;
    std::vector<int64_t> factors;  // of the pixel shuffles; all 2 if `nearest`
    int64_t features;  // channels of the layers after the transformer; unused if `none` or `shuffle_direct`
    int64_t out_channels;

    int64_t scale() const;
};

// Reads `depths`, the number of blocks of each group. Throws UNSUPPORTED_MODEL.
std::vector<int64_t> read_depths(const config & cfg);
// Reads `upsampler`, `upsample_factors`, `num_feat` and `out_channels`. Throws UNSUPPORTED_MODEL.
reconstruction read_reconstruction(const config & cfg);
// Returns the largest number of elements of its activations per element of the features' map.
int64_t widest_of(const reconstruction & r, int64_t channels);

// Convolution before a skip connection: 3x3, or 3x3, 1x1 and 3x3 with a quarter of the channels if `three`.
tensor skip_convolution(model_ref m, tensor x, bool three);
// Upsamples features [B, C, H, W] to an image [B, out_channels, H·s, W·s].
tensor reconstruct(model_ref m, tensor x, const reconstruction & r);

// (x - mean)·range with the mean colors of DIV2K for RGB and 0 for other images, and the inverse.
tensor normalized_image(model_ref m, tensor x, float range);
tensor denormalized_image(model_ref m, tensor x, float range);

}  // namespace safelight
