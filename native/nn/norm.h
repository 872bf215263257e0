#pragma once

#include <cstdint>

#include "runtime/graph/graph.h"

namespace safelight {

// GroupNorm's parameters, the same throughout a model.
struct group_norm_options {
    int64_t groups;
    float eps;
};

// Each group of channels of each map to mean 0 and variance 1, then scaled and shifted by channel (Wu & He
// 2018). Weights m.weight and m.bias [C]. A `modulation` [B, 2C], first what scales and then what shifts,
// makes of the result y·(1 + scale) + shift (Perez et al. 2018; scale-shift norm in diffusion models).
tensor group_norm(model_ref m, tensor x, group_norm_options o, tensor modulation = nullptr);
// (x - running_mean) / √(running_var + eps), then scaled and shifted, by channel of a map (Ioffe & Szegedy
// 2015, as it is after training). Weights m.weight, m.bias, m.running_mean and m.running_var [C].
tensor batch_norm(model_ref m, tensor x, float eps);
// scale·(x + loc) by channel of a map (Kingma & Dhariwal 2018). Weights m.scale and m.loc [1, C] (files
// hold [1, C, 1, 1]).
tensor act_norm(model_ref m, tensor x);
// The last dimension to mean 0 and variance 1, then scaled and shifted. Weights m.weight and m.bias [C].
tensor layer_norm(model_ref m, tensor x, float eps);
// The last dimension to a mean square of 1, then scaled (Zhang & Sennrich 2019). Weight m.weight [C].
tensor rms_norm(model_ref m, tensor x, float eps);

}  // namespace safelight
