// The logarithm of the gamma function and its derivatives.
//
// From 5/2 (2 for the derivatives) on, Stirling's form with a minimax polynomial in `1/x^2` for the
// remainder; nearer to 0 a polynomial about the zeros, so that `lgamma` at 1 and 2 and `digamma` at
// 1.4616 keep their relative accuracy; below 0 the reflection formulas.
#pragma once

namespace math {

// An unevaluated sum.
struct Two {
    float h, l;
};

// `ln Gamma(2 + t) / t` for t in [-1, 1/2].
MATH float lgamma_about_two(float t) {
    float p = -2.51327e-4f;
    p = mul_add(p, t, -1.2948689e-4f);
    p = mul_add(p, t, -1.9661602e-4f);
    p = mul_add(p, t, 6.373971e-4f);
    p = mul_add(p, t, -1.1673451e-3f);
    p = mul_add(p, t, 2.868068e-3f);
    p = mul_add(p, t, -7.3920414e-3f);
    p = mul_add(p, t, 2.0582087e-2f);
    p = mul_add(p, t, -6.735186e-2f);
    p = mul_add(p, t, 3.2246703e-1f);
    return mul_add(p, t, 4.2278433e-1f);
}

// `ln Gamma(x) - (x - 1/2) ln x + x - ln(2 pi)/2` for x >= 5/2.
MATH float stirling_rest(float x) {
    float w = 1.0f / x;
    float v = w * w;
    float p = -3.858714e-4f;
    p = mul_add(p, v, 7.7054504e-4f);
    p = mul_add(p, v, -2.7767592e-3f);
    p = mul_add(p, v, 8.333332e-2f);
    return w * p;
}

// `a + b` and its rounding error (Knuth).
MATH Two two_sum(float a, float b) {
    float s = a + b;
    float t = s - a;
    return {s, (a - (s - t)) + (b - t)};
}

// `ln x` as an unevaluated sum, for finite x > 0.
MATH Two ln_pair(float x) {
    auto [e, f] = split(x);
    float g = log1p_reduced(f);
    float h = mul_add(e, LN2_HI, g);
    return {h, mul_add(e, LN2_LO, mul_add(e, LN2_HI, -h) + g)};
}

// `ln Gamma(x)` for `x >= 0`, NaN below: the bits of `lgamma` at a third of its cost.
MATH float lgamma_positive(float x) {
    auto [h, l] = ln_pair(x);
    float far = mul_add(x - 0.5f, (h - 1.0f) + l, stirling_rest(x) + (HALF_LN_TWO_PI - 0.5f));
    bool low = x < 1.5f;
    float t = x - (low ? 1.0f : 2.0f);
    float near = mul_add(t, lgamma_about_two(t), low ? -h : 0.0f) - (low ? l : 0.0f);
    float y = x < 2.5f ? near : far;
    y = x > 0.0f ? y : not_a_number();
    return x == 0.0f || x == infinity() ? infinity() : y;
}

// `ln |Gamma(-a)| = ln pi - ln |sin pi a| - ln Gamma(1 + a)` for `a > 0`.
//
// The two large terms nearly cancel around the zeros, so they are kept as pairs.
MATH float lgamma_negative(float a) {
    float sin = sincos_pi_abs(a).p.s;
    auto [sh, sl] = ln_pair(sin);
    auto [lh, ll] = ln_pair(a);
    bool far = a >= 2.5f;
    bool low = a < 1.5f;
    // ln Gamma(1 + a) = factor ln a - minus + small
    float t = a - (low ? 1.0f : 2.0f);
    float factor = low ? 0.0f : 1.0f;
    factor = far ? a : factor;
    float minus = far ? a : 0.0f;
    float near = t * lgamma_about_two(t);
    float small = far ? mul_add(lh, 0.5f, stirling_rest(a) + HALF_LN_TWO_PI) : near;
    float p = factor * lh;
    float p_rest = mul_add(factor, ll, mul_add(factor, lh, -p));
    auto [u, u_rest] = two_sum(minus, -p);
    auto [v, v_rest] = two_sum(u, -sh);
    // ln pi = 1.1447299 + 3.3e-8
    float y = v + ((u_rest + v_rest) + (1.1447299f - small) - (p_rest + sl));
    // Where sin(pi a) could be subnormal, and so inexact: ln Gamma(-a) = -ln a.
    y = a < 1e-9f ? -lh : y;
    return sin == 0.0f ? infinity() : y;
}

// `ln |Gamma(x)|`; infinite at 0, at the negative integers and at both infinities.
MATH float lgamma(float x) {
    if (x < 0.0f) return lgamma_negative(-x);
    return lgamma_positive(x);
}

// `digamma(z)` for z >= 1, as an unevaluated sum.
MATH Two digamma_from_one(float z) {
    // On [1, 2) with the zero at 1.4616321 + 1.2438e-8 split off.
    float u = z - 1.5f;
    float p = 9.756436e-3f;
    p = mul_add(p, u, -1.6097933e-2f);
    p = mul_add(p, u, 1.7920192e-2f);
    p = mul_add(p, u, -2.594483e-2f);
    p = mul_add(p, u, 4.0648594e-2f);
    p = mul_add(p, u, -6.2024523e-2f);
    p = mul_add(p, u, 9.500605e-2f);
    p = mul_add(p, u, -1.4840138e-1f);
    p = mul_add(p, u, 2.4054165e-1f);
    p = mul_add(p, u, -4.2362744e-1f);
    p = mul_add(p, u, 9.510559e-1f);
    float near = ((z - 1.4616321f) - 1.243815e-8f) * p;
    float w = 1.0f / z;
    float v = w * w;
    float q = 2.051284e-3f;
    q = mul_add(q, v, -3.1623929e-3f);
    q = mul_add(q, v, 3.866125e-3f);
    q = mul_add(q, v, -8.328417e-3f);
    q = mul_add(q, v, 8.3333254e-2f);
    auto [h, l] = ln_pair(z);
    h = z < infinity() ? h : z;
    l = l - mul_add(w, 0.5f, v * q);
    return {z < 2.0f ? near : h, z < 2.0f ? 0.0f : l};
}

// `d/dx ln Gamma(x)` for `x >= 0` (`-inf` at 0), NaN below: the bits of `digamma` at half its cost.
MATH float digamma_positive(float x) {
    bool step = x < 1.0f;
    auto [h, l] = digamma_from_one(step ? 1.0f + x : x);
    float y = (h + l) - (step ? 1.0f / x : 0.0f);
    return x < 0.0f ? not_a_number() : y;
}

// `d/dx ln Gamma(x)`; `-inf` at 0, `inf` at -0, NaN at the negative integers.
MATH float digamma(float x) {
    bool reflect = x < 0.0f;
    bool step = x < 1.0f;
    float z = reflect ? -x : x;
    auto [h, l] = digamma_from_one(step ? 1.0f + z : z);
    float above = (h + l) - (step ? 1.0f / x : 0.0f);
    if (!reflect) return above;
    // Minus pi cot(pi x) below 0, whose rounding errors are taken back
    // because the two terms cancel around the zeros.
    auto [p, falling] = sincos_pi_abs(-x);
    float cot = p.c / p.s;
    float cot_rest = (mul_add(cot, -p.s_rest, mul_add(cot, -p.s, p.c)) + p.c_rest) / p.s;
    float t = PI * cot;
    float t_rest = mul_add(PI, cot, -t) + mul_add(PI, cot_rest, cot * -8.742278e-8f);
    float sign = falling ? -1.0f : 1.0f;
    // 1/tiny overflows; there the rest is not a number and not needed.
    float below = t < 1e30f ? mul_add(sign, t, h) + mul_add(sign, t_rest, l) : sign * t;
    return p.s == 0.0f ? not_a_number() : below;
}

// `d^2/dx^2 ln Gamma(x)`; infinite at 0 and the negative integers, NaN at `-inf`.
MATH float trigamma(float x) {
    bool reflect = x < 0.0f;
    float z = reflect ? 1.0f - x : x;
    // trigamma(z) = 1/z^2 + trigamma(z + 1), until z >= 2
    bool once = z < 2.0f;
    bool twice = z < 1.0f;
    float next = once ? z + 1.0f : z;
    float i = once ? 1.0f / z : 0.0f;
    float j = twice ? 1.0f / next : 0.0f;
    float w = 1.0f / (twice ? next + 1.0f : next);
    float v = w * w;
    float p = -2.7193861e-2f;
    p = mul_add(p, v, 3.6706157e-2f);
    p = mul_add(p, v, -2.8680524e-2f);
    p = mul_add(p, v, 2.348604e-2f);
    p = mul_add(p, v, -3.3322297e-2f);
    p = mul_add(p, v, 1.6666654e-1f);
    float y = mul_add(i, i, mul_add(j, j, mul_add(w, v * p, mul_add(v, 0.5f, w))));
    if (!reflect) return y;
    float r = PI / sincos_pi_abs(-x).p.s;
    float below = mul_add(r, r, -y);
    return x == -infinity() ? not_a_number() : below;
}

}  // namespace math
