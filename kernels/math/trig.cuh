// Sines and cosines.
//
// Large arguments are reduced in fixed point with as many bits of 1/(2 pi) as their exponent asks
// for (Payne and Hanek 1983), so that the whole range is right; there is no second path.
#pragma once

namespace math {

// A sine and a cosine, each an unevaluated sum.
struct Pairs {
    float s, s_rest, c, c_rest;
};
struct SinCos {
    float s, c;
};

// `sin pi d` and `cos pi d` for |d| <= 1/4, with their rounding errors.
MATH Pairs sincos_pi_small(float d) {
    float v = d * d;
    float s = 7.917889e-02f;
    s = mul_add(s, v, -5.989822e-01f);
    s = mul_add(s, v, 2.5501547e+00f);
    s = mul_add(s, v, -5.1677127e+00f);
    // pi = PI - 8.742278e-8
    float s_small = d * mul_add(v, s, -8.742278e-8f);
    s = mul_add(d, PI, s_small);
    float c = 2.2875077e-01f;
    c = mul_add(c, v, -1.3347361e+00f);
    c = mul_add(c, v, 4.0586963e+00f);
    c = mul_add(c, v, -4.934802e+00f);
    float c_small = v * c;
    c = 1.0f + c_small;
    return {s, mul_add(d, PI, -s) + s_small, c, (1.0f - c) + c_small};
}

constexpr float TWO_PI_HI = 6.28318531f;
constexpr float TWO_PI_LO = -1.7484555e-7f;

// `(sin r, cos r)` for |r| <= pi/4 radians.
MATH SinCos sincos_small(float r) {
    float v = r * r;
    float s = 2.8372472e-6f;
    s = mul_add(s, v, -1.9853498e-4f);
    s = mul_add(s, v, 8.33338e-3f);
    s = mul_add(s, v, -1.6666667e-1f);
    float c = 2.4430668e-5f;
    c = mul_add(c, v, -1.3887301e-3f);
    c = mul_add(c, v, 4.1666646e-2f);
    c = mul_add(c, v, -0.5f);
    return {mul_add(r * v, s, r), mul_add(v, c, 1.0f)};
}

// Turns `(sin, cos)` of the reduced angle by `quarter` right angles.
MATH SinCos rotate(u32 quarter, SinCos x) {
    bool swap = (quarter & 1) != 0;
    float a = swap ? x.c : x.s;
    float b = swap ? x.s : x.c;
    u32 flip_a = (quarter & 2) << 30;
    u32 flip_b = ((quarter + 1) & 2) << 30;
    return {float_of(bits_of(a) ^ flip_a), float_of(bits_of(b) ^ flip_b)};
}

// `(sin, cos)` of `2 pi turn / 2^32`.
//
// The reduction is exact when the low 8 bits of `turn` are 0 (a 24-bit uniform draw); otherwise the
// reduced angle is rounded to binary32 first.
MATH SinCos sincos_2pi(u32 turn) {
    u32 quarter = (turn + (1u << 29)) >> 30;
    i32 rest = (i32)(turn - (quarter << 30));
    Pairs p = sincos_pi_small((float)rest * 4.656613e-10f);
    return rotate(quarter, {p.s, p.c});
}

// A zero word, then the binary digits of 1/(2 pi).
__constant__ u32 INV_TWO_PI[8] = {
    0, 0x28be60dbu, 0x9391054au, 0x7f09d5f4u, 0x7d4d3770u, 0x36d8a566u, 0x4f10e410u, 0x7f9458eau};

// 32 of its digits, from place `32 word + shift` on.
MATH u32 window(u32 word, u32 shift) {
    u32 left = INV_TWO_PI[word & 7], right = INV_TWO_PI[(word + 1) & 7];
    return (left << shift) | ((right >> 1) >> (31 - shift));
}

// `(sin x, cos x)`, x in radians; NaN for infinities.
MATH SinCos sincos(float x) {
    u32 bits = bits_of(x);
    // |x| = m 2^(e - 32) with the top bit of m set; e >= 0 wherever the outcome is used.
    u32 m = (bits << 8) | 0x80000000u;
    u32 e = ((bits >> 23) & 0xff) - 126;
    u32 word = e >> 5;
    u32 shift = e & 31;
    // 32 digits of 1/(2 pi) before the binary point of 2^e / (2 pi), 64 after it.
    u32 high = window(word, shift), middle = window(word + 1, shift), low = window(word + 2, shift);
    // The turns of |x| modulo 1, in units of 2^-64.
    u64 turns = ((u64)(m * high) << 32) + (u64)m * middle + (((u64)m * low) >> 32);
    u32 quarter = (u32)((turns + (1ull << 61)) >> 62);
    u64 rest = turns - ((u64)quarter << 62);
    u32 negative = (u32)(rest >> 63);
    rest = (rest ^ (0ull - (u64)negative)) + (u64)negative;
    // 23 leading places exactly, the next 31 rounded.
    u32 upper = (u32)(rest >> 32), lower = (u32)rest;
    float a = (float)(i32)(upper & ~0x3fu) * 2.3283064e-10f;
    float b = (float)(i32)(((upper & 0x3fu) << 25) | (lower >> 7)) * 6.938894e-18f;
    float radians = mul_add(a, TWO_PI_HI, mul_add(b, TWO_PI_HI, a * TWO_PI_LO));
    radians = float_of(bits_of(radians) ^ (negative << 31));

    a = abs(x);
    bool small = a < 0.785398163f;
    float r = small ? a : radians;
    r = a < infinity() ? r : not_a_number();
    auto [s, c] = rotate(small ? 0 : quarter, sincos_small(r));
    return {float_of(bits_of(s) ^ (bits & 0x80000000u)), c};
}

// `sin x`, x in radians.
MATH float sin(float x) {
    return sincos(x).s;
}

// `cos x`, x in radians.
MATH float cos(float x) {
    return sincos(x).c;
}

struct Turn {
    Pairs p;
    bool falling;
};
// `|sin pi x|` and `|cos pi x|`, and whether `tan pi x < 0`, for `x >= 0`; the reduction is exact.
MATH Turn sincos_pi_abs(float x) {
    // From 2^23 on every number is an integer; below, adding 2^23 rounds to one.
    float nearest = (x + 8388608.0f) - 8388608.0f;
    float d = x < 8388608.0f ? x - nearest : 0.0f;
    float a = abs(d);
    bool swap = a > 0.25f;
    Pairs p = sincos_pi_small(swap ? 0.5f - a : a);
    Pairs swapped = {p.c, p.c_rest, p.s, p.s_rest};
    return {swap ? swapped : p, d < 0.0f};
}

}  // namespace math
