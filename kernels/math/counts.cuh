// Log-probabilities of counts and their derivatives in binary32, without the cancellation of the
// textbook forms. Mirror of src/math/counts.rs, where the formulas are derived.
#pragma once

namespace math {

// `ln p` and its derivatives with respect to m, r and h.
struct LogProbability {
    float value, m, r, h;
};

constexpr float TWO_TO_MINUS_64 = 5.4210109e-20f;
// `LN2_HI / 2^23`: takes an exponent that still stands 23 bits to the left.
constexpr float LN2_SHIFTED = LN2_HI * 1.1920929e-7f;

// `1 / x` for x in [1, 2^126), no step for other x.
MATH float inverse_plain(float x) {
#ifdef __CUDA_ARCH__
    // What the compiler makes of 1/x, without the branch for exponents at the ends of the range.
    float r;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(x));
    float e = __fmaf_rn(r, x, -1.0f);
    return __fmaf_rn(r, -e, r);
#else
    return 1.0f / x;
#endif
}

// `z E(z)` with `E` the `stirling_error` and `w = 1/z` in `[0, 1]`.
MATH float stirling_scaled(float w) {
    float p = 1.3149809e-4f;
    p = mul_add(p, w, -6.1159872e-4f);
    p = mul_add(p, w, 1.02236168e-3f);
    p = mul_add(p, w, -3.7557282e-5f);
    p = mul_add(p, w, -2.776799e-3f);
    p = mul_add(p, w, 2.2782881e-7f);
    return mul_add(p, w, 8.3333336e-2f);
}

// `digamma(z) - ln z` for `w = 1/z` in `[0, 1]`.
MATH float digamma_rest(float w) {
    float p = -5.9371215e-4f;
    p = mul_add(p, w, 2.5541449e-3f);
    p = mul_add(p, w, -3.6079178e-3f);
    p = mul_add(p, w, -8.634348e-4f);
    p = mul_add(p, w, 8.685229e-3f);
    p = mul_add(p, w, -6.0331113e-5f);
    p = mul_add(p, w, -8.332965e-2f);
    return mul_add(p, w, -0.5f) * w;
}

// What Stirling's formula lacks: `lgamma(z) - [(z - 1/2) ln z - z + ln(2 pi)/2]`, for `z > 0`.
MATH float stirling_error(float z) {
    bool small = z < 1.0f;
    float step = mul_add(z + 0.5f, log1p(1.0f / z), -1.0f);
    float w = 1.0f / (small ? z + 1.0f : z);
    return mul_add(w, stirling_scaled(w), small ? step : 0.0f);
}

// What the count formulas need of one gene's inverse dispersion `theta = e^r`.
struct Dispersion {
    float theta, inverse, error, inverse_next, digamma_next;
};
MATH Dispersion dispersion(float r) {
    float theta = exp(r);
    float inverse_next = 1.0f / (1.0f + theta);
    return {theta, 1.0f / theta, stirling_error(theta), inverse_next, digamma_rest(inverse_next)};
}

// `x = n ln 2 + r` as `2^(n + up)` and r; NaN stays in r.
struct Shifted {
    float power, r;
};
MATH Shifted reduce_to(float x, float up) {
    float k = mul_add(x, LOG2_E, ROUND + up);
    float n = k - (ROUND + up);
    return {float_of(bits_of(1.0f) + (bits_of(k) << 23)), mul_add(n, -LN2_LO, mul_add(n, -LN2_HI, x))};
}

// `e^x` for x in [-87, 88].
MATH float exp_normal(float x) {
    auto [power, r] = reduce_to(x, 0.0f);
    return (1.0f + mul_add(r * r, exp_second_order(r), r)) * power;
}

// `x` not below `low`, not above `high`; NaN stays.
MATH float at_least(float x, float low) { return x < low ? low : x; }
MATH float at_most(float x, float high) { return x > high ? high : x; }

// `e^x` for `x <= 0`, down to 0 through the subnormals.
MATH float exp_low(float x) {
    auto [high, r] = reduce_to(at_least(x, -105.0f), 64.0f);
    return (1.0f + mul_add(r * r, exp_second_order(r), r)) * high * TWO_TO_MINUS_64;
}

// `[e^x, e^x - 1]` for `x <= 0`.
struct Exponentials {
    float e, less_one;
};
MATH Exponentials exp_and_expm1(float x) {
    auto [high, r] = reduce_to(at_least(x, -105.0f), 64.0f);
    float p = mul_add(r * r, exp_second_order(r), r);
    float t = high * TWO_TO_MINUS_64;
    return {mul_add(high, p, high) * TWO_TO_MINUS_64, mul_add(t, p, t - 1.0f)};
}

// `ln(1 + x)` for `x > -1`.
MATH float log1p_above(float x) {
    float u = 1.0f + x;
    u32 e = (bits_of(u) - THREE_QUARTERS) & 0xff800000u;
    float scaled = float_of(bits_of(x) - e);
    float four = float_of(bits_of(4.0f) - e);
    float f = scaled + mul_add(four, 0.25f, -1.0f);
    float y = mul_add((float)(i32)e, LN2_SHIFTED, log1p_reduced(f));
    return x < infinity() ? y : x;
}

// What the formulas need of the mean: mu, `mu / theta` (at most 1e38), `sp(m - r)`.
struct Mean {
    float mu, ratio, log_ratio;
};
MATH Mean mean(float m, float r, float inverse) {
    float d = m - r;
    float mu = exp_normal(at_least(at_most(m, 88.0f), -87.0f));
    float ratio = at_most(mu * inverse, 1e38f);
    float log_ratio = log1p_above(ratio);
    return {mu, ratio, d > 80.0f ? d : log_ratio};
}

// Log-probability of a count 0.
MATH LogProbability nb_zero(Mean mean, float theta) {
    float y = theta * mean.log_ratio;
    float q = theta * (mean.ratio / (1.0f + mean.ratio));
    return {-y, -q, q - y, 0.0f};
}

// A count 0 with zero inflation, for `y = theta sp(d)`.
struct ZeroMixture {
    float change;
    bool near;
    float both, a, b, fall, on, off, inverse;
};
MATH ZeroMixture zero_mixture(float y, float h) {
    float both = h + y;
    bool near = y < 1.0f;
    float a = exp_low(-abs(h));
    auto [b, fall] = exp_and_expm1(near ? -y : -abs(both));
    bool inflated = h >= 0.0f;
    float on = inflated ? 1.0f : a, off = inflated ? a : 1.0f;
    float inverse = inverse_plain(1.0f + a);
    float change = (near ? off * fall : b - a) * inverse;
    return {change, near, both, a, b, fall, on, off, inverse};
}

// `ln p` from `change`.
MATH float zero_value(float y, float h, float change) {
    float outside = at_most(h > -y ? h : -y, 0.0f);
    return (y < 1.0f ? 0.0f : outside) + log1p_above(change);
}

// The derivatives; no value.
MATH LogProbability zero_slopes(const ZeroMixture &z, float ratio, float y, float theta) {
    float above = 1.0f + ratio, below = 1.0f + (z.near ? z.change : z.b);
    float share = 1.0f / (above * below);
    float q = theta * (ratio * (below * share));
    float rest = above * share;
    bool sampled = z.both >= 0.0f;
    float yes = sampled ? z.b : 1.0f, no = sampled ? 1.0f : z.b;
    float s = (z.near ? (z.off * z.inverse) * z.b : yes) * rest;
    float gain = z.near ? -((z.a * z.inverse) * z.fall) : mul_add(z.off, no, -(yes * z.on));
    return {0.0f, -(s * q), s * (q - y), gain * (z.inverse * rest)};
}

// Log-probability of a count 0 with zero inflation.
MATH LogProbability zinb_zero(Mean mean, float theta, float h) {
    float y = theta * mean.log_ratio;
    ZeroMixture mixture = zero_mixture(y, h);
    LogProbability slopes = zero_slopes(mixture, mean.ratio, y, theta);
    return {zero_value(y, h, mixture.change), slopes.m, slopes.r, slopes.h};
}

// Deviance part `y ln(y / m) - e` with `e = y - m` known without cancellation.
MATH float deviance(float y, float m, float e) {
    float sum = y + m;
    bool close = abs(e) < 0.25f * sum;
    float v = (close ? e : y) / (close ? sum : m);
    float u = v * v;
    float s = 7.692308e-2f;
    s = mul_add(s, u, 9.090909e-2f);
    s = mul_add(s, u, 1.1111111e-1f);
    s = mul_add(s, u, 1.4285715e-1f);
    s = mul_add(s, u, 0.2f);
    s = mul_add(s, u, 3.3333334e-1f);
    float near = mul_add(e, v, (y + y) * v * (s * u));
    float far = mul_add(y, ln(v), -e);
    return close ? near : far;
}

// Log-probability of a count `x >= 1`.
MATH float count_value(float x, Mean mean, const Dispersion &t) {
    float n = x + t.theta, k = 1.0f / (1.0f + mean.ratio);
    float excess = k * (x - mean.mu);
    float w = 1.0f / n, v = 1.0f / x;
    float errors = mul_add(w, stirling_scaled(w), -(v * stirling_scaled(v))) - t.error;
    float deviances = deviance(x, n * (mean.ratio * k), excess) + deviance(t.theta, n * k, -excess);
    float scale = mul_add(0.5f, ln(x) + log1p(x * t.inverse), HALF_LN_TWO_PI);
    return (errors - deviances) - scale;
}

// The derivatives with respect to m and r; no value.
MATH LogProbability count_slopes(float x, Mean mean, const Dispersion &t) {
    float excess = (1.0f / (1.0f + mean.ratio)) * (x - mean.mu);
    float further = log1p((x - 1.0f) * t.inverse_next) + (digamma_rest(1.0f / (x + t.theta)) - t.digamma_next);
    float rise = t.inverse + further;
    return {0.0f, excess, mul_add(t.theta, rise - mean.log_ratio, -excess), 0.0f};
}

// Log-probability of a count `x >= 1`, with its derivatives.
MATH LogProbability nb_count(float x, Mean mean, const Dispersion &t) {
    LogProbability slopes = count_slopes(x, mean, t);
    return {count_value(x, mean, t), slopes.m, slopes.r, 0.0f};
}

// `[sp(h), sg(h)]`
struct Inflation {
    float loss, share;
};
MATH Inflation inflation(float h) {
    float a = exp_low(-abs(h));
    bool above = h >= 0.0f;
    return {(above ? h : 0.0f) + log1p_above(a), (above ? 1.0f : a) / (1.0f + a)};
}

// `nb_count` with zero inflation.
MATH LogProbability zinb_count(float x, Mean mean, const Dispersion &t, float h) {
    LogProbability nb = nb_count(x, mean, t);
    auto [loss, share] = inflation(h);
    return {nb.value - loss, nb.m, nb.r, -share};
}

}  // namespace math
