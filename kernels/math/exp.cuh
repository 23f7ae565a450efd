// Exponentials: reduce to |r| <= ln(2)/2, a polynomial there, scale by a power of two.
//
// Coefficients are minimax fits whose leading terms were rounded to binary32 before the next ones
// were fitted.
#pragma once

namespace math {

constexpr float LOG2_E = 1.44269504f;
// ln 2 = `LN2_HI` + `LN2_LO`; the high part is the nearest binary32.
constexpr float LN2_HI = 0.693147181f;
constexpr float LN2_LO = -1.9046543e-9f;

// `p * 2^n` for `-252 <= n <= 254`, rounded once at the most.
MATH float scale(float p, i32 n) {
    i32 half = n >> 1;
    return p * power_of_two(half) * power_of_two(n - half);
}

// Splits `x = n ln 2 + r`; needs |x| < 2^21.
struct Reduced {
    i32 n;
    float r, r_rest;
};
MATH Reduced reduce(float x) {
    float k = mul_add(x, LOG2_E, ROUND);
    float n = k - ROUND;
    float r = mul_add(n, -LN2_LO, mul_add(n, -LN2_HI, x));
    return {(i32)(bits_of(k) - bits_of(ROUND)), r, 0.0f};
}

// Splits `x + rest = n ln 2 + r + r_rest`, for a `rest` of a few ulp of x.
MATH Reduced reduce_pair(float x, float rest) {
    float k = mul_add(x, LOG2_E, ROUND);
    float n = k - ROUND;
    float a = mul_add(n, -LN2_HI, x);
    float b = mul_add(n, -LN2_LO, rest);
    float r = a + b;
    return {(i32)(bits_of(k) - bits_of(ROUND)), r, (a - r) + b};
}

// `(e^r - 1 - r) / r^2` for |r| <= 0.3475.
MATH float exp_second_order(float r) {
    float p = 1.394222e-3f;
    p = mul_add(p, r, 8.368861e-3f);
    p = mul_add(p, r, 4.1666385e-2f);
    p = mul_add(p, r, 1.666652e-1f);
    return mul_add(p, r, 0.5f);
}

// `e^r - 1` for |r| <= 0.3475, absolute error 3.3e-9 before rounding.
MATH float expm1_reduced(float r) {
    return mul_add(r * r, exp_second_order(r), r);
}

// `e^x`. Overflows to infinity above 88.72, reaches 0 below -103.97.
MATH float exp(float x) {
    float c = x > 89.0f ? 89.0f : x;
    c = c < -105.0f ? -105.0f : c;
    auto [n, r, none] = reduce(c);
    return scale(1.0f + expm1_reduced(r), n);
}

// `2^(x + rest) = p 2^n` for |x| < 2^21 and a `rest` of a few ulp of x. Returns `(p, n)`.
struct Power {
    float p;
    i32 n;
};
MATH Power exp2_parts(float x, float rest) {
    float k = x + ROUND;
    float r = (x - (k - ROUND)) + rest;
    i32 n = (i32)(bits_of(k) - bits_of(ROUND));
    float p = 1.5323516e-5f;
    p = mul_add(p, r, 1.5455976e-4f);
    p = mul_add(p, r, 1.3333403e-3f);
    p = mul_add(p, r, 9.618078e-3f);
    p = mul_add(p, r, 5.550411e-2f);
    p = mul_add(p, r, 2.402265e-1f);
    p = mul_add(p, r, LN2_LO);
    return {1.0f + mul_add(LN2_HI, r, r * p), n};
}

// `2^x`, exact for integers.
MATH float exp2(float x) {
    float c = x > 129.0f ? 129.0f : x;
    c = c < -151.0f ? -151.0f : c;
    auto [p, n] = exp2_parts(c, 0.0f);
    return scale(p, n);
}

// `e^x - 1` without cancellation near 0; keeps the sign of zero.
MATH float expm1(float x) {
    float c = x > 89.0f ? 89.0f : x;
    c = c < -18.0f ? -18.0f : c;
    auto [n, r, none] = reduce(c);
    float p = 1.9944271e-4f;
    p = mul_add(p, r, 1.3932723e-3f);
    p = mul_add(p, r, 8.333208e-3f);
    p = mul_add(p, r, 4.166649e-2f);
    p = mul_add(p, r, 1.6666667e-1f);
    p = mul_add(p, r, 0.5f);
    p = mul_add(r * r, p, r);
    // Half of 2^n, because 2^128 is not a number while its product with p may be.
    float t = power_of_two(n - 1);
    float y = mul_add(t, p, t - 0.5f);
    return with_sign(y + y, x);
}

}  // namespace math
