// The error function, its complement and the normal distribution function.
#pragma once

namespace math {

constexpr float FRAC_1_SQRT_2 = 0.707106781f;
constexpr float FRAC_2_SQRT_PI = 1.12837917f;

// `erf a` for 0 <= a <= 1.
MATH float erf_small(float a) {
    float v = a * a;
    float p = 7.920368e-5f;
    p = mul_add(p, v, -8.0307614e-4f);
    p = mul_add(p, v, 5.190734e-3f);
    p = mul_add(p, v, -2.6855126e-2f);
    p = mul_add(p, v, 1.1283618e-1f);
    p = mul_add(p, v, -3.761263e-1f);
    p = mul_add(p, v, 1.2837917e-1f);
    return mul_add(a, p, a);
}

// Error function `2/sqrt(pi) * integral of e^-t^2 from 0 to x`.
MATH float erf(float x) {
    float a = abs(x);
    float small = erf_small(a);
    // -ln erfc on [1, 4]; erf(4) rounds to 1.
    float b = a > 4.0f ? 4.0f : a;
    float q = 2.1684093e-5f;
    q = mul_add(q, b, -4.4130758e-4f);
    q = mul_add(q, b, 4.2044376e-3f);
    q = mul_add(q, b, -2.5207974e-2f);
    q = mul_add(q, b, 1.0841822e-1f);
    q = mul_add(q, b, 6.3322014e-1f);
    q = mul_add(q, b, 1.1295784f);
    q = mul_add(q, b, -1.8803705e-4f);
    float large = 1.0f - exp(-q);
    return with_sign((a < 1.0f ? small : large), x);
}

// `erfc(h + l) * 2^shift` for `h >= 0` and a correction |l| <= ulp(h); rounded once into the subnormals.
//
// `erfc(x) = e^(-x^2) G / (1 + 2x)` with `G` a polynomial in `q = (x-2)/(x+2)`. The rounding errors
// of q, 1 + 2x, the quotient and x^2 are carried along, since each costs half an ulp or (the
// square) much more.
MATH float erfc_positive(float h, float l, i32 shift) {
    l = h > 10.3f ? 0.0f : l;
    h = h > 10.3f ? 10.3f : h;
    float r = 1.0f / (h + 2.0f);
    float q = mul_add(r, -4.0f, 1.0f);
    q = mul_add(r, mul_add(q, -h, mul_add(q + 1.0f, -2.0f, h)), q);
    float p = 1.1176009e-4f;
    p = mul_add(p, q, 2.1114771e-4f);
    p = mul_add(p, q, -4.4713248e-4f);
    p = mul_add(p, q, -1.4880399e-3f);
    p = mul_add(p, q, 1.2748041e-3f);
    p = mul_add(p, q, 8.7466715e-3f);
    p = mul_add(p, q, -8.035019e-3f);
    p = mul_add(p, q, -5.4226425e-2f);
    p = mul_add(p, q, 1.6405132e-1f);
    p = mul_add(p, q, -1.6602983e-1f);
    p = mul_add(p, q, -9.2763826e-2f);
    float top = mul_add(p, q, 1.2769784f);
    float top_rest = mul_add(p, q, 1.2769784f - top);
    // 1 + 2(h + l) = d + lost
    float b = h + h;
    float d = 1.0f + b;
    float t = d - 1.0f;
    float lost = (1.0f - (d - t)) + ((b - t) + (l + l));
    float g = top / d;
    float g_rest = (mul_add(g, -lost, mul_add(g, -d, top)) + top_rest) / d;
    // (h + l)^2 = s + s_rest
    float s = h * h;
    float s_rest = mul_add(b, l, mul_add(h, h, -s));
    auto [n, y, y_rest] = reduce_pair(-s, -s_rest);
    float small = mul_add(y * y, exp_second_order(y), y_rest);
    float far = scale(g + mul_add(g, y, mul_add(g, small, g_rest)), n + shift);
    // erf(h + l) = erf h + 2/sqrt(pi) e^-s l
    float slope = mul_add(s, mul_add(s, 0.5f * FRAC_2_SQRT_PI, -FRAC_2_SQRT_PI), FRAC_2_SQRT_PI);
    float near = mul_add(l, -slope, 1.0f - erf_small(h));
    return h < 0.75f ? near * power_of_two(shift) : far;
}

// `1 - erf(x)` without cancellation in the upper tail.
MATH float erfc(float x) {
    float tail = erfc_positive(abs(x), 0.0f, 0);
    return x < 0.0f ? 2.0f - tail : tail;
}

// Standard normal distribution function, right into the lower tail.
MATH float ndtr(float x) {
    // |x| / sqrt 2 = h + l; sqrt(1/2) = 0.70710677 + 1.2101617e-8
    float a = abs(x);
    a = a > 15.0f ? 15.0f : a;
    float h = a * FRAC_1_SQRT_2;
    float l = mul_add(a, 1.2101617e-8f, mul_add(a, FRAC_1_SQRT_2, -h));
    float tail = erfc_positive(h, l, -1);
    return x > 0.0f ? 1.0f - tail : tail;
}

}  // namespace math
