// Logarithms: split off a power of two so that `1 + f` lies in [3/4, 3/2), then a polynomial in `f`.
#pragma once

namespace math {

constexpr u32 THREE_QUARTERS = 0x3f400000u;

// `ln(1 + f)` for f in [-1/4, 1/2], relative error 4.8e-9 before rounding.
MATH float log1p_reduced(float f) {
    float q = -4.6174962e-2f;
    q = mul_add(q, f, 1.05829634e-1f);
    q = mul_add(q, f, -1.3186364e-1f);
    q = mul_add(q, f, 1.4467472e-1f);
    q = mul_add(q, f, -1.6643777e-1f);
    q = mul_add(q, f, 1.9991113e-1f);
    q = mul_add(q, f, -2.5000194e-1f);
    q = mul_add(q, f, 3.3333448e-1f);
    q = mul_add(q, f, -0.5f);
    return mul_add(f * f, q, f);
}

// `x = 2^e (1 + f)` with f in [-1/4, 1/2) for finite `x > 0`, subnormal or not. Returns `(e, f)`.
struct Split {
    float e, f;
};
MATH Split split(float x) {
    bool tiny = x < 1.17549435e-38f;
    float scaled = tiny ? x * 8388608.0f : x;
    float shift = tiny ? -23.0f : 0.0f;
    u32 bits = bits_of(scaled);
    u32 e = (bits - THREE_QUARTERS) & 0xff800000u;
    float f = float_of(bits - e) - 1.0f;
    // The exponent still stands 23 bits to the left.
    return {mul_add((float)(i32)e, 1.1920929e-7f, shift), f};
}

// C99 results outside the positive finite numbers, `y` on them.
MATH float with_poles(float x, float y) {
    y = x < infinity() ? y : x;
    y = x == 0.0f ? -infinity() : y;
    return x < 0.0f ? not_a_number() : y;
}

// Natural logarithm. `ln(±0) = -inf`, NaN below 0.
MATH float ln(float x) {
    auto [e, f] = split(x);
    // The nearest binary32 to ln 2 is right to 2.8e-9, so one term is enough.
    return with_poles(x, mul_add(e, LN2_HI, log1p_reduced(f)));
}

// Base-2 logarithm, exact for powers of two.
MATH float log2(float x) {
    auto [e, f] = split(x);
    float l = log1p_reduced(f);
    // log2(e) = LOG2_E + 1.925963e-8
    return with_poles(x, mul_add(l, LOG2_E, mul_add(l, 1.925963e-8f, e)));
}

// `ln(1 + x)` without cancellation near 0; keeps the sign of zero.
MATH float log1p(float x) {
    float u = 1.0f + x;
    u32 e = (bits_of(u) - THREE_QUARTERS) & 0xff800000u;
    // 1 + f = (1 + x) 2^-e, with x 2^-e exact: one rounding.
    float scaled = float_of(bits_of(x) - e);
    float four = float_of(bits_of(4.0f) - e);
    float f = scaled + mul_add(four, 0.25f, -1.0f);
    float y = mul_add((float)(i32)e * 1.1920929e-7f, LN2_HI, log1p_reduced(f));
    y = x < infinity() ? with_sign(y, x) : x;
    y = x == -1.0f ? -infinity() : y;
    return x < -1.0f ? not_a_number() : y;
}

}  // namespace math
