#pragma once

#include <cstdint>
#include <string>

#include "runtime/graph/graph.h"

namespace safelight {

// Rows of m.weight [vocabulary, width] by the ids that the caller gives as `input`, of shape [B, T]: [B, T,
// width]. An id out of range fails the run.
tensor token_embedding(model_ref m, const std::string & input, const shape & ids, int64_t vocabulary,
                       int64_t width);

// The first `length` rows of m.weight [positions, width].
tensor position_embedding(model_ref m, int64_t length, int64_t positions, int64_t width);

// Row `index[b]` of x[b], where the caller gives the indices [B] as `input`: [B, T, C] -> [B, C]. An index
// out of range fails the run with INVALID_OPTION.
tensor pick_rows(model_ref m, tensor x, const std::string & input);

struct sinusoid_options {
    int64_t width;  // of one number's embedding
    bool cosines_first;
    double freq_shift;
};

// Each number t of the input, [B] or [B, count], as sines and cosines of t·10000^(-i / (width/2 -
// freq_shift)): [B, count·width] (Vaswani et al. 2017; diffusers' get_timestep_embedding).
tensor sinusoids(model_ref m, const std::string & input, const shape & dims, sinusoid_options o);

}  // namespace safelight
