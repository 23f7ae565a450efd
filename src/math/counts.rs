//! Log-probabilities of counts and their derivatives in binary32, without the cancellation of the
//! textbook forms.
//!
//! Negative binomial with mean `mu = e^m` and inverse dispersion `theta = e^r`; zero-inflated with
//! probability `sigmoid(h)`. Write `d = m - r`, `sg` for sigmoid and `sp` for softplus. For counts
//! above 0 the log-probability is Loader's saddle-point form (C. Loader, *Fast and accurate
//! computation of binomial probabilities*, 2000), which is exact algebra; the three lgammas of the
//! textbook form would lose up to half of all digits.

use super::{exp, expm1, ln, log1p, select, sigmoid, softplus};

const HALF_LN_TWO_PI: f32 = 0.918_938_5;

/// `(z + 1/2) ln(1 + 1/z) - 1` for `z >= 1`: with `w = 1/(2z+1)` it is `w^2/3 + w^4/5 + ...`.
#[inline(always)]
fn step_above_one(z: f32) -> f32 {
    let w = 1.0 / (z + z + 1.0);
    let u = w * w;
    let s = 6.666_667e-2_f32; // 1/15
    let s = s.mul_add(u, 7.692_308e-2);
    let s = s.mul_add(u, 9.090_909e-2);
    let s = s.mul_add(u, 1.111_111_1e-1);
    let s = s.mul_add(u, 1.428_571_5e-1);
    let s = s.mul_add(u, 0.2);
    let s = s.mul_add(u, 3.333_333_4e-1);
    s * u
}

/// Stirling's series `1/(12 z) - 1/(360 z^3) + 1/(1260 z^5) - 1/(1680 z^7)`, for `z >= 4`.
#[inline(always)]
fn stirling_series(z: f32) -> f32 {
    let w = 1.0 / z;
    let u = w * w;
    let s = -5.952_381e-4_f32;
    let s = s.mul_add(u, 7.936_508e-4);
    let s = s.mul_add(u, -2.777_777_8e-3);
    let s = s.mul_add(u, 8.333_333_6e-2);
    s * w
}

/// [`stirling_error`] for `z >= 1`, cheaper.
#[inline(always)]
pub fn stirling_error_above_one(z: f32) -> f32 {
    let small = z < 4.0;
    let steps = step_above_one(z) + step_above_one(z + 1.0) + step_above_one(z + 2.0) + step_above_one(z + 3.0);
    let series = stirling_series(select(small, z + 4.0, z));
    select(small, steps, 0.0) + series
}

/// What Stirling's formula lacks: `lgamma(z) - [(z - 1/2) ln z - z + ln(2 pi)/2]`, for `z > 0`.
#[inline(always)]
pub fn stirling_error(z: f32) -> f32 {
    let below = (z + 0.5).mul_add(log1p(1.0 / z), -1.0);
    let first = select(z < 1.0, below, step_above_one(z));
    let small = z < 4.0;
    let steps = first + step_above_one(z + 1.0) + step_above_one(z + 2.0) + step_above_one(z + 3.0);
    let series = stirling_series(select(small, z + 4.0, z));
    select(small, steps, 0.0) + series
}

/// Deviance part `y ln(y / m) - e` with `e = y - m` known without cancellation.
#[inline(always)]
fn deviance(y: f32, m: f32, e: f32) -> f32 {
    let sum = y + m;
    let v = e / sum;
    let u = v * v;
    // u/3 + u^2/5 + ... + u^6/13
    let s = 7.692_308e-2_f32;
    let s = s.mul_add(u, 9.090_909e-2);
    let s = s.mul_add(u, 1.111_111_1e-1);
    let s = s.mul_add(u, 1.428_571_5e-1);
    let s = s.mul_add(u, 0.2);
    let s = s.mul_add(u, 3.333_333_4e-1);
    let near = e.mul_add(v, (y + y) * v * (s * u));
    let far = y.mul_add(ln(y / m), -e);
    select(e.abs() < 0.25 * sum, near, far)
}

/// `digamma(x + theta) - digamma(theta)` for a count `x >= 1`.
///
/// Up to x = 16 the finite sum of `1/(theta + j)`; above, the difference of two asymptotic series,
/// after six steps of the recurrence where theta is below 6.
#[inline(always)]
fn digamma_rise(x: f32, theta: f32) -> f32 {
    let few = x <= 16.0;
    let shift = select(theta < 6.0, 6.0, 0.0);
    let terms = select(few, x, shift);
    let mut sum = 0.0_f32;
    let mut j = 0.0_f32;
    for _ in 0..16 {
        let next = sum + 1.0 / (theta + j);
        sum = select(j < terms, next, sum);
        j += 1.0;
    }
    let low = theta + shift;
    let rise = log1p((x - shift) / low) + (digamma_series(x + theta) - digamma_series(low));
    select(few, sum, sum + rise)
}

/// `digamma(z) - ln z` for `z >= 6`.
#[inline(always)]
fn digamma_series(z: f32) -> f32 {
    let w = 1.0 / z;
    let u = w * w;
    let s = -3.968_254e-3_f32; // -1/252
    let s = s.mul_add(u, 8.333_334e-3);
    let s = s.mul_add(u, -8.333_333_6e-2);
    u.mul_add(s, -0.5 * w)
}

/// `[mu, sg(-d), sg(d), sp(d)]` from the exponentials: more exact than from `d`, which is rounded.
#[inline(always)]
fn mean(m: f32, r: f32, theta: f32) -> [f32; 4] {
    let d = m - r;
    let mu = exp(select(m > 88.0, 88.0, m));
    let sum = theta + mu;
    let log_ratio = log1p(mu / theta);
    [mu, theta / sum, mu / sum, select(d > 80.0, d, log_ratio)]
}

/// Log-probability of a count 0: `[ln p, d/dm, d/dr]`; `theta` is `exp(r)`.
#[inline(always)]
pub fn nb_zero(m: f32, r: f32, theta: f32) -> [f32; 3] {
    let [_, _, rest, log_ratio] = mean(m, r, theta);
    let y = theta * log_ratio;
    let q = theta * rest;
    [-y, -q, q - y]
}

/// Log-probability of a count 0 with zero inflation: `[ln p, d/dm, d/dr, d/dh]`.
///
/// With `y = theta sp(d)`: below 1 `log1p(sg(-h) expm1(-y))`, else the log of the sum of
/// `exp(-sp(-h))` and `exp(-sp(h) - y)`; neither loses a small result.
#[inline(always)]
pub fn zinb_zero(m: f32, r: f32, theta: f32, h: f32) -> [f32; 4] {
    let [_, _, rest, log_ratio] = mean(m, r, theta);
    let y = theta * log_ratio;
    let q = theta * rest;
    let near = y < 1.0;
    let both = h + y;
    let (on, off) = (sigmoid(h), sigmoid(-h));
    // ln p
    let change = off * expm1(-y);
    let inflated = -softplus(-h);
    let sampled = -softplus(h) - y;
    let larger = select(both >= 0.0, inflated, sampled);
    let value = select(near, 0.0, larger) + log1p(select(near, change, exp(-both.abs())));
    // The probability that the zero was sampled, given that it was seen.
    let t = sigmoid(-both);
    let slope_near = -(on * change) / (1.0 + change);
    let slope_far = select(h > 0.0, off - t, sigmoid(both) - on);
    [value, -(t * q), t * (q - y), select(near, slope_near, slope_far)]
}

/// Log-probability of a count `x >= 1`: `[ln p, d/dm, d/dr]`; `theta` is `exp(r)` and
/// `theta_error` its [`stirling_error`].
#[inline(always)]
pub fn nb_count(x: f32, m: f32, r: f32, theta: f32, theta_error: f32) -> [f32; 3] {
    let [mu, k, rest, log_ratio] = mean(m, r, theta);
    let n = x + theta;
    // x minus its expectation n sg(d), without cancellation
    let excess = k * (x - mu);
    let errors = (stirling_error_above_one(n) - stirling_error_above_one(x)) - theta_error;
    let deviances = deviance(x, n * rest, excess) + deviance(theta, n * k, -excess);
    let scale = 0.5_f32.mul_add(ln(x) + log1p(x / theta), HALF_LN_TWO_PI);
    let value = (errors - deviances) - scale;
    let slope_r = theta.mul_add(digamma_rise(x, theta) - log_ratio, -excess);
    [value, excess, slope_r]
}

/// [`nb_count`] with zero inflation: `[ln p, d/dm, d/dr, d/dh]`.
#[inline(always)]
pub fn zinb_count(x: f32, m: f32, r: f32, theta: f32, theta_error: f32, h: f32) -> [f32; 4] {
    let [value, slope_m, slope_r] = nb_count(x, m, r, theta, theta_error);
    [value - softplus(h), slope_m, slope_r, -sigmoid(h)]
}
