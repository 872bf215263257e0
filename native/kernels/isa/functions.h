#pragma once

// Vectorized exponential and activation functions.

#include "kernels/isa/simd.h"
#include "kernels/kernels.h"

namespace safelight::kernels::SAFELIGHT_ISA {

// Rounds to the nearest integers, for numbers of less than 2^22.
inline vf nearest(vf x) {
#if defined(__AVX512F__)
    return reinterpret_cast<vf>(_mm512_roundscale_ps(reinterpret_cast<__m512>(x), _MM_FROUND_TO_NEAREST_INT));
#else
    return (x + 12582912.f) - 12582912.f;  // rounds to an integer in the low bits
#endif
}
// Returns x 2^n for integers n from -127 to 127; 2^-127 is 0 without AVX-512.
inline vf scaled_by_power(vf x, vf n) {
#if defined(__AVX512F__)
    return reinterpret_cast<vf>(_mm512_scalef_ps(reinterpret_cast<__m512>(x), reinterpret_cast<__m512>(n)));
#else
    const vf shifted = n + 12582912.f;     // has n in its low bits
    return x * reinterpret_cast<vf>((reinterpret_cast<vi>(shifted) - 0x4B400000 + 127) << 23);
#endif
}

// e^x for x in [-87.3, 88.3], accurate to about 1 ulp: 2^n times a polynomial of the fraction (Cody and Waite
// range reduction). NaN stays NaN.
inline vf exp_in_range(vf x) {
    const vf n = nearest(x * 1.44269504089f);
    const vf r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    vf p = splat(1.9875691500e-4f);
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.f;
    return scaled_by_power(p, n);
}
// e^x for x <= 0, at least about 1e-38. (max returns its second argument if one is NaN.)
inline vf exp_negative(vf x) {
    return exp_in_range(max(splat(-87.3f), x));
}
inline vf exp(vf x) {
    return exp_in_range(min(splat(88.3f), max(splat(-87.3f), x)));
}
// 2^x for x <= 0, to 4e-5 of the value; 0 below about 2^-127. (max returns its second argument if one is
// NaN.)
inline vf exp2_roughly(vf x) {
    x = max(splat(-127), x);
    const vf n = nearest(x), f = x - n;
    const vf p =
        (((9.61812910e-3f * f + 5.55041087e-2f) * f + 2.40226507e-1f) * f + 6.93147181e-1f) * f + 1.f;
    return scaled_by_power(p, n);
}
// x / d for 1 <= d < 2^126, to about 1 ulp. AVX-512's division takes ten times as long as its multiplication,
// so it is replaced by an approximation of 14 bits and one step of Newton's method.
inline vf divided(vf x, vf d) {
#if defined(__AVX512F__)
    const vf rough = reinterpret_cast<vf>(_mm512_rcp14_ps(reinterpret_cast<__m512>(d)));
    return x * (rough * (2.f - d * rough));
#else
    return x / d;
#endif
}
// The exponent is at most 87.3, so that the divisor is finite; x sigmoid(x) is about 1e-36 there.
inline vf silu(vf x) {
    return divided(x, 1.f + exp_in_range(min(splat(87.3f), max(splat(-87.3f), -x))));
}
inline vf quick_gelu(vf x) {
    return divided(x, 1.f + exp(x * -1.702f));
}

// x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))), which is x sigmoid(2 sqrt(2/pi) (x + 0.044715 x^3)).
inline vf gelu_tanh(vf x) {
    return divided(x, 1.f + exp(x * -1.5957691216f * (1.f + 0.044715f * x * x)));
}

// x/2 (1 + erf(x/sqrt 2)), with erf by Abramowitz and Stegun 7.1.26 (absolute error below 1.5e-7).
inline vf gelu(vf x) {
    const vf z = x * 0.70710678118f;
    const vf a = max(z, -z);
    const vf t = divided(splat(1), 1.f + 0.3275911f * a);
    const vf poly = t * (0.254829592f +
                         t * (-0.284496736f + t * (1.421413741f + t * (-1.453152027f + t * 1.061405429f))));
    const vf e = 1.f - poly * exp(-a * a);
    return 0.5f * x * (1.f + select(z < 0.f, -e, e));
}

// Rectifies `part` channels from c on.
inline vf rectified(const rectifier & r, vf x, int64_t c, int part) {
    if (r.channels) return select(x < 0.f, x * load_part(r.channels + c, part), x);
    return r.on ? max(x * r.slope, x) : x;
}

}  // namespace safelight::kernels::SAFELIGHT_ISA
