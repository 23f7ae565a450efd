// Log-probabilities of counts and their derivatives in binary32, without the cancellation of the
// textbook forms.
//
// Negative binomial with mean `mu = e^m` and inverse dispersion `theta = e^r`; zero-inflated with
// probability `sigmoid(h)`. Write `d = m - r`, `sg` for sigmoid and `sp` for softplus. For counts
// above 0 the log-probability is Loader's saddle-point form (C. Loader, *Fast and accurate
// computation of binomial probabilities*, 2000), which is exact algebra; the three lgammas of the
// textbook form would lose up to half of all digits.
#pragma once

namespace math {

// `ln p` and its derivatives with respect to m, r and h.
struct LogProbability {
    float value, m, r, h;
};

// `(z + 1/2) ln(1 + 1/z) - 1` for `z >= 1`: with `w = 1/(2z+1)` it is `w^2/3 + w^4/5 + ...`.
MATH float step_above_one(float z) {
    float w = 1.0f / (z + z + 1.0f);
    float u = w * w;
    float s = 6.666667e-2f;  // 1/15
    s = mul_add(s, u, 7.692308e-2f);
    s = mul_add(s, u, 9.090909e-2f);
    s = mul_add(s, u, 1.1111111e-1f);
    s = mul_add(s, u, 1.4285715e-1f);
    s = mul_add(s, u, 0.2f);
    s = mul_add(s, u, 3.3333334e-1f);
    return s * u;
}

// Stirling's series `1/(12 z) - 1/(360 z^3) + 1/(1260 z^5) - 1/(1680 z^7)`, for `z >= 4`.
MATH float stirling_series(float z) {
    float w = 1.0f / z;
    float u = w * w;
    float s = -5.952381e-4f;
    s = mul_add(s, u, 7.936508e-4f);
    s = mul_add(s, u, -2.7777778e-3f);
    s = mul_add(s, u, 8.3333336e-2f);
    return s * w;
}

// `stirling_error` for `z >= 1`, cheaper.
MATH float stirling_error_above_one(float z) {
    bool small = z < 4.0f;
    float steps = step_above_one(z) + step_above_one(z + 1.0f) + step_above_one(z + 2.0f) + step_above_one(z + 3.0f);
    float series = stirling_series(small ? z + 4.0f : z);
    return (small ? steps : 0.0f) + series;
}

// What Stirling's formula lacks: `lgamma(z) - [(z - 1/2) ln z - z + ln(2 pi)/2]`, for `z > 0`.
MATH float stirling_error(float z) {
    float below = mul_add(z + 0.5f, log1p(1.0f / z), -1.0f);
    float first = z < 1.0f ? below : step_above_one(z);
    bool small = z < 4.0f;
    float steps = first + step_above_one(z + 1.0f) + step_above_one(z + 2.0f) + step_above_one(z + 3.0f);
    float series = stirling_series(small ? z + 4.0f : z);
    return (small ? steps : 0.0f) + series;
}

// Deviance part `y ln(y / m) - e` with `e = y - m` known without cancellation.
MATH float deviance(float y, float m, float e) {
    float sum = y + m;
    float v = e / sum;
    float u = v * v;
    // u/3 + u^2/5 + ... + u^6/13
    float s = 7.692308e-2f;
    s = mul_add(s, u, 9.090909e-2f);
    s = mul_add(s, u, 1.1111111e-1f);
    s = mul_add(s, u, 1.4285715e-1f);
    s = mul_add(s, u, 0.2f);
    s = mul_add(s, u, 3.3333334e-1f);
    float near = mul_add(e, v, (y + y) * v * (s * u));
    float far = mul_add(y, ln(y / m), -e);
    return abs(e) < 0.25f * sum ? near : far;
}

// `digamma(z) - ln z` for `z >= 6`.
MATH float digamma_series(float z) {
    float w = 1.0f / z;
    float u = w * w;
    float s = -3.968254e-3f;  // -1/252
    s = mul_add(s, u, 8.333334e-3f);
    s = mul_add(s, u, -8.3333336e-2f);
    return mul_add(u, s, -0.5f * w);
}

// `digamma(x + theta) - digamma(theta)` for a count `x >= 1`.
//
// Up to x = 16 the finite sum of `1/(theta + j)`; above, the difference of two asymptotic series,
// after six steps of the recurrence where theta is below 6.
MATH float digamma_rise(float x, float theta) {
    bool few = x <= 16.0f;
    float shift = theta < 6.0f ? 6.0f : 0.0f;
    float terms = few ? x : shift;
    float sum = 0.0f;
    float j = 0.0f;
    for (int i = 0; i < 16; ++i) {
        float next = sum + 1.0f / (theta + j);
        sum = j < terms ? next : sum;
        j += 1.0f;
    }
    float low = theta + shift;
    float rise = log1p((x - shift) / low) + (digamma_series(x + theta) - digamma_series(low));
    return few ? sum : sum + rise;
}

// `[mu, sg(-d), sg(d), sp(d)]` from the exponentials: more exact than from `d`, which is rounded.
struct Mean {
    float mu, k, rest, log_ratio;
};
MATH Mean mean(float m, float r, float theta) {
    float d = m - r;
    float mu = exp((m > 88.0f ? 88.0f : m));
    float sum = theta + mu;
    float log_ratio = log1p(mu / theta);
    return {mu, theta / sum, mu / sum, (d > 80.0f ? d : log_ratio)};
}

// Log-probability of a count 0: `[ln p, d/dm, d/dr]`; `theta` is `exp(r)`.
MATH LogProbability nb_zero(float m, float r, float theta) {
    auto [mu, k, rest, log_ratio] = mean(m, r, theta);
    float y = theta * log_ratio;
    float q = theta * rest;
    return {-y, -q, q - y, 0.0f};
}

// Log-probability of a count 0 with zero inflation: `[ln p, d/dm, d/dr, d/dh]`.
//
// With `y = theta sp(d)`: below 1 `log1p(sg(-h) expm1(-y))`, else the log of the sum of
// `exp(-sp(-h))` and `exp(-sp(h) - y)`; neither loses a small result.
MATH LogProbability zinb_zero(float m, float r, float theta, float h) {
    auto [mu, k, rest, log_ratio] = mean(m, r, theta);
    float y = theta * log_ratio;
    float q = theta * rest;
    bool near = y < 1.0f;
    float both = h + y;
    float on = sigmoid(h), off = sigmoid(-h);
    // ln p
    float change = off * expm1(-y);
    float inflated = -softplus(-h);
    float sampled = -softplus(h) - y;
    float larger = both >= 0.0f ? inflated : sampled;
    float value = (near ? 0.0f : larger) + log1p((near ? change : exp(-abs(both))));
    // The probability that the zero was sampled, given that it was seen.
    float t = sigmoid(-both);
    float slope_near = -(on * change) / (1.0f + change);
    float slope_far = h > 0.0f ? off - t : sigmoid(both) - on;
    return {value, -(t * q), t * (q - y), (near ? slope_near : slope_far)};
}

// Log-probability of a count `x >= 1`: `[ln p, d/dm, d/dr]`; `theta` is `exp(r)` and
// `theta_error` its `stirling_error`.
MATH LogProbability nb_count(float x, float m, float r, float theta, float theta_error) {
    auto [mu, k, rest, log_ratio] = mean(m, r, theta);
    float n = x + theta;
    // x minus its expectation n sg(d), without cancellation
    float excess = k * (x - mu);
    float errors = (stirling_error_above_one(n) - stirling_error_above_one(x)) - theta_error;
    float deviances = deviance(x, n * rest, excess) + deviance(theta, n * k, -excess);
    float scale = mul_add(0.5f, ln(x) + log1p(x / theta), HALF_LN_TWO_PI);
    float value = (errors - deviances) - scale;
    float slope_r = mul_add(theta, digamma_rise(x, theta) - log_ratio, -excess);
    return {value, excess, slope_r, 0.0f};
}

// `nb_count` with zero inflation: `[ln p, d/dm, d/dr, d/dh]`.
MATH LogProbability zinb_count(float x, float m, float r, float theta, float theta_error, float h) {
    auto [value, slope_m, slope_r, none] = nb_count(x, m, r, theta, theta_error);
    return {value - softplus(h), slope_m, slope_r, -sigmoid(h)};
}

}  // namespace math
