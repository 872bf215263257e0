#pragma once

#include "kernels/kernels.h"

// Kernels of one instruction set, which SAFELIGHT_ISA names.
namespace safelight::kernels::SAFELIGHT_ISA {

void group_norm_partial(const group_norm_args &, const team &);
void group_norm_fold(const group_norm_args &, const team &);
void conv3x3(const conv3x3_args &, const team &);
void gemm(const gemm_args &, const team &);
void rows(const gemm_args &, const team &);
void attention(const attention_args &, const team &);
void upsample(const upsample_args &, const team &);
void nearest_code(const nearest_code_args &, const team &);
void depthwise3x3(const depthwise3x3_args &, const team &);
int64_t packed_panels(const packing &);
size_t packed_panel_bytes(const packing &);
rounding pack(const weights &, const packing &, int64_t panel, void * out);
extern const table kernels;

}  // namespace safelight::kernels::SAFELIGHT_ISA
