#pragma once

#include <cstdint>
#include <string>

#include "runtime/graph/graph.h"

namespace safelight {

// Embeds token ids: the rows of m.weight [vocabulary, width] for the ids in the I32 input named `input`, of
// shape `ids` [B, T]. Returns [B, T, width]. An id out of range fails the run with INVALID_OPTION.
tensor token_embedding(model_ref m, const std::string & input, const shape & ids, int64_t vocabulary,
                       int64_t width);

// Returns the first `length` rows of m.weight [positions, width].
tensor position_embedding(model_ref m, int64_t length, int64_t positions, int64_t width);

// Selects one row per sample: row index[b] of x[b], with the indices [B] in the I32 input named `input`.
// [B, T, C] -> [B, C]. An index out of range fails the run with INVALID_OPTION.
tensor pick_rows(model_ref m, tensor x, const std::string & input);

struct sinusoid_options {
    int64_t width;  // of the embedding of one number
    bool cosines_first;
    double freq_shift;
};

// Sinusoidal embeddings of the numbers t in an input [B] or [B, count]: sines and cosines of
// t·10000^(-i / (width/2 - freq_shift)) (Vaswani et al. 2017; diffusers' get_timestep_embedding).
// Returns [B, count·width].
tensor sinusoids(model_ref m, const std::string & input, const shape & dims, sinusoid_options o);

}  // namespace safelight
