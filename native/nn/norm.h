#pragma once

#include <cstdint>

#include "runtime/graph/graph.h"

namespace safelight {

// Parameters of GroupNorm, the same in all layers of a model.
struct group_norm_options {
    int64_t groups;
    float eps;
};

// GroupNorm (Wu & He 2018): normalizes each group of channels of each map to mean 0 and variance 1, then
// scales and shifts each channel. Weights m.weight and m.bias [C]. A `modulation` [B, 2C] of scales followed
// by shifts turns the result y into y·(1 + scale) + shift (Perez et al. 2018; scale-shift norm in diffusion
// models).
tensor group_norm(model_ref m, tensor x, group_norm_options o, tensor modulation = nullptr);
// BatchNorm in inference mode (Ioffe & Szegedy 2015): (x - running_mean) / √(running_var + eps), then scale
// and shift, per channel of a map. Weights m.weight, m.bias, m.running_mean and m.running_var [C].
tensor batch_norm(model_ref m, tensor x, float eps);
// The same per channel of a sequence [B, T, C].
tensor batch_norm_tokens(model_ref m, tensor x, float eps);
// ActNorm (Kingma & Dhariwal 2018): scale·(x + loc) per channel of a map. Weights m.scale and m.loc [1, C]
// ([1, C, 1, 1] in files).
tensor act_norm(model_ref m, tensor x);
// LayerNorm: normalizes the last dimension to mean 0 and variance 1, then scales and shifts it. Weights
// m.weight and m.bias [C].
tensor layer_norm(model_ref m, tensor x, float eps);
// RMSNorm (Zhang & Sennrich 2019): normalizes the last dimension to a mean square of 1, then scales it.
// Weight m.weight [C].
tensor rms_norm(model_ref m, tensor x, float eps);

}  // namespace safelight
