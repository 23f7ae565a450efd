//! Log-probabilities of counts and their derivatives in binary32, without the cancellation of the
//! textbook forms.
//!
//! Negative binomial with mean `mu = e^m` and inverse dispersion `theta = e^r`; zero-inflated with
//! probability `sigmoid(h)`. Write `d = m - r`, `sg` for sigmoid and `sp` for softplus. For counts
//! above 0 the log-probability is Loader's saddle-point form (C. Loader, *Fast and accurate
//! computation of binomial probabilities*, 2000), which is exact algebra; the three lgammas of the
//! textbook form would lose up to half of all digits. What depends on the dispersion alone is in
//! [`Dispersion`], computed once for all cells.
//!
//! `mu` is held between `e^-87` and `e^88`, normal numbers.

use super::exp::{LN2_HI, LN2_LO, LOG2_E, exp_second_order};
use super::log::log1p_reduced;
use super::{ROUND, exp, ln, log1p, select};

const HALF_LN_TWO_PI: f32 = 0.918_938_5;
const TWO_TO_MINUS_64: f32 = 5.421_010_9e-20;
const THREE_QUARTERS: u32 = 0x3f40_0000;
/// `LN2_HI / 2^23`: takes an exponent that still stands 23 bits to the left.
const LN2_SHIFTED: f32 = LN2_HI * 1.192_092_9e-7;

/// What the count formulas need of one gene's inverse dispersion `theta = e^r`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Dispersion {
    /// `e^r`
    pub theta: f32,
    /// `1 / theta`
    pub inverse: f32,
    /// [`stirling_error`] of theta.
    pub error: f32,
    /// `1 / (1 + theta)`
    pub inverse_next: f32,
    /// `digamma(1 + theta) - ln(1 + theta)`
    pub digamma_next: f32,
}

impl Dispersion {
    /// For `theta = e^r`.
    #[inline(always)]
    pub fn new(r: f32) -> Self {
        let theta = exp(r);
        let inverse_next = 1.0 / (1.0 + theta);
        Dispersion {
            theta,
            inverse: 1.0 / theta,
            error: stirling_error(theta),
            inverse_next,
            digamma_next: digamma_rest(inverse_next),
        }
    }
}

/// `z E(z)` with `E` the [`stirling_error`] and `w = 1/z` in `[0, 1]`; `E` is right to 1.7e-9.
#[inline(always)]
fn stirling_scaled(w: f32) -> f32 {
    let p = 1.314_980_9e-4_f32;
    let p = p.mul_add(w, -6.115_987_2e-4);
    let p = p.mul_add(w, 1.022_361_68e-3);
    let p = p.mul_add(w, -3.755_728_2e-5);
    let p = p.mul_add(w, -2.776_799e-3);
    let p = p.mul_add(w, 2.278_288_1e-7);
    p.mul_add(w, 8.333_333_6e-2)
}

/// `digamma(z) - ln z` for `w = 1/z` in `[0, 1]`, right to 4.5e-9.
#[inline(always)]
fn digamma_rest(w: f32) -> f32 {
    let p = -5.937_121_5e-4_f32;
    let p = p.mul_add(w, 2.554_144_9e-3);
    let p = p.mul_add(w, -3.607_917_8e-3);
    let p = p.mul_add(w, -8.634_348e-4);
    let p = p.mul_add(w, 8.685_229e-3);
    let p = p.mul_add(w, -6.033_111_3e-5);
    let p = p.mul_add(w, -8.332_965e-2);
    p.mul_add(w, -0.5) * w
}

/// What Stirling's formula lacks: `lgamma(z) - [(z - 1/2) ln z - z + ln(2 pi)/2]`, for `z > 0`.
#[inline(always)]
pub fn stirling_error(z: f32) -> f32 {
    let small = z < 1.0;
    // One step of the recurrence.
    let step = (z + 0.5).mul_add(log1p(1.0 / z), -1.0);
    let w = 1.0 / select(small, z + 1.0, z);
    w.mul_add(stirling_scaled(w), select(small, step, 0.0))
}

/// `x = n ln 2 + r` as `2^(n + up)` and r; NaN stays in r.
#[inline(always)]
fn reduce(x: f32, up: f32) -> (f32, f32) {
    let k = x.mul_add(LOG2_E, ROUND + up);
    let n = k - (ROUND + up);
    let power = f32::from_bits(1.0_f32.to_bits().wrapping_add(k.to_bits() << 23));
    (power, n.mul_add(-LN2_LO, n.mul_add(-LN2_HI, x)))
}

/// `e^x` for x in [-87, 88].
#[inline(always)]
fn exp_normal(x: f32) -> f32 {
    let (power, r) = reduce(x, 0.0);
    (1.0 + (r * r).mul_add(exp_second_order(r), r)) * power
}

/// `e^x` for `x <= 0`, down to 0 through the subnormals.
#[inline(always)]
fn exp_low(x: f32) -> f32 {
    let (high, r) = reduce(at_least(x, -105.0), 64.0);
    (1.0 + (r * r).mul_add(exp_second_order(r), r)) * high * TWO_TO_MINUS_64
}

/// `[e^x, e^x - 1]` for `x <= 0`.
#[inline(always)]
fn exp_and_expm1(x: f32) -> [f32; 2] {
    let (high, r) = reduce(at_least(x, -105.0), 64.0);
    let p = (r * r).mul_add(exp_second_order(r), r);
    let t = high * TWO_TO_MINUS_64;
    [high.mul_add(p, high) * TWO_TO_MINUS_64, t.mul_add(p, t - 1.0)]
}

/// `ln(1 + x)` for `x > -1`.
#[inline(always)]
fn log1p_above(x: f32) -> f32 {
    let u = 1.0 + x;
    let e = u.to_bits().wrapping_sub(THREE_QUARTERS) & 0xff80_0000;
    let scaled = f32::from_bits(x.to_bits().wrapping_sub(e));
    let four = f32::from_bits(4.0_f32.to_bits().wrapping_sub(e));
    let f = scaled + four.mul_add(0.25, -1.0);
    let y = (e as i32 as f32).mul_add(LN2_SHIFTED, log1p_reduced(f));
    select(x < f32::INFINITY, y, x)
}

/// `x` not below `low`; NaN stays.
#[inline(always)]
fn at_least(x: f32, low: f32) -> f32 {
    select(x < low, low, x)
}

/// `x` not above `high`; NaN stays.
#[inline(always)]
fn at_most(x: f32, high: f32) -> f32 {
    select(x > high, high, x)
}

/// What the formulas need of the mean, from the exponentials: more exact than from `d`, which is
/// rounded.
#[derive(Clone, Copy, Debug)]
pub struct Mean {
    /// `e^m`, from `e^-87` to `e^88`.
    pub mu: f32,
    /// `mu / theta`, at most 1e38.
    pub ratio: f32,
    /// `sp(d) = ln(1 + mu / theta)`
    pub log_ratio: f32,
}

impl Mean {
    /// For `inverse = 1 / theta`.
    #[inline(always)]
    pub fn new(m: f32, r: f32, inverse: f32) -> Self {
        let mu = Self::mu(m);
        let ratio = Self::ratio(mu, inverse);
        Mean { mu, ratio, log_ratio: Self::log_ratio(m, r, ratio) }
    }

    /// The field of that name.
    #[inline(always)]
    pub fn mu(m: f32) -> f32 {
        exp_normal(at_least(at_most(m, 88.0), -87.0))
    }

    /// The field of that name.
    #[inline(always)]
    pub fn ratio(mu: f32, inverse: f32) -> f32 {
        at_most(mu * inverse, 1e38)
    }

    /// The field of that name.
    #[inline(always)]
    pub fn log_ratio(m: f32, r: f32, ratio: f32) -> f32 {
        let d = m - r;
        select(d > 80.0, d, log1p_above(ratio))
    }
}

/// Log-probability of a count 0: `[ln p, d/dm, d/dr]`.
#[inline(always)]
pub fn nb_zero(mean: Mean, theta: f32) -> [f32; 3] {
    let y = theta * mean.log_ratio;
    let q = theta * (mean.ratio / (1.0 + mean.ratio));
    [-y, -q, q - y]
}

/// A count 0 with zero inflation, for `y = theta sp(d)`.
///
/// `p = sg(h) + sg(-h) e^-y`. Where `y < 1`, `ln p = log1p(sg(-h) expm1(-y))`; else the larger of the
/// two summands is taken out, and with `a = e^-|h|`, `b = e^-|h+y|`
/// `ln p = min(0, max(h, -y)) + log1p((b - a) / (1 + a))`. Neither loses a small result.
#[derive(Clone, Copy)]
pub struct ZeroMixture {
    /// What log1p is taken of; [`ZeroMixture::value`] has the rest.
    pub change: f32,
    near: bool,
    both: f32,
    a: f32,
    b: f32,
    fall: f32,
    /// `sg(h) (1 + a)` and `sg(-h) (1 + a)`
    on: f32,
    off: f32,
    inverse: f32,
}

impl ZeroMixture {
    /// For `y = theta sp(d)`.
    #[inline(always)]
    pub fn new(y: f32, h: f32) -> Self {
        let [b, fall] = Self::falls(y, h);
        let a = Self::a(h);
        Self::from_parts(y, h, a, Self::inverse(a), b, fall)
    }

    /// `e^-|h|`
    #[inline(always)]
    pub fn a(h: f32) -> f32 {
        exp_low(-h.abs())
    }

    /// `1 / (1 + a)`
    #[inline(always)]
    pub fn inverse(a: f32) -> f32 {
        1.0 / (1.0 + a)
    }

    /// `b` and, where `y < 1`, `expm1(-y)`.
    #[inline(always)]
    pub fn falls(y: f32, h: f32) -> [f32; 2] {
        exp_and_expm1(select(y < 1.0, -y, -(h + y).abs()))
    }

    /// For what [`ZeroMixture::a`], [`ZeroMixture::inverse`] and [`ZeroMixture::falls`] give.
    #[inline(always)]
    pub fn from_parts(y: f32, h: f32, a: f32, inverse: f32, b: f32, fall: f32) -> Self {
        let both = h + y;
        let near = y < 1.0;
        let inflated = h >= 0.0;
        let (on, off) = (select(inflated, 1.0, a), select(inflated, a, 1.0));
        let change = select(near, off * fall, b - a) * inverse;
        ZeroMixture { change, near, both, a, b, fall, on, off, inverse }
    }

    /// `ln p` from `change`.
    #[inline(always)]
    pub fn value(y: f32, h: f32, change: f32) -> f32 {
        let outside = at_most(select(h > -y, h, -y), 0.0);
        select(y < 1.0, 0.0, outside) + log1p_above(change)
    }

    /// `[d/dm, d/dr, d/dh]`
    #[inline(always)]
    pub fn slopes(self, ratio: f32, y: f32, theta: f32) -> [f32; 3] {
        let ZeroMixture { change, near, both, a, b, fall, on, off, inverse } = self;
        // One division for both.
        let (above, below) = (1.0 + ratio, 1.0 + select(near, change, b));
        let share = 1.0 / (above * below);
        let q = theta * (ratio * (below * share));
        let rest = above * share;
        // The probability that the zero was sampled, given that it was seen: sg(-h - y).
        let sampled = both >= 0.0;
        let (yes, no) = (select(sampled, b, 1.0), select(sampled, 1.0, b));
        let s = select(near, (off * inverse) * b, yes) * rest;
        // sg(-h) less that
        let gain = select(near, -((a * inverse) * fall), off.mul_add(no, -(yes * on)));
        [-(s * q), s * (q - y), gain * (inverse * rest)]
    }
}

/// Log-probability of a count 0 with zero inflation: `[ln p, d/dm, d/dr, d/dh]`.
#[inline(always)]
pub fn zinb_zero(mean: Mean, theta: f32, h: f32) -> [f32; 4] {
    let y = theta * mean.log_ratio;
    let mixture = ZeroMixture::new(y, h);
    let [dm, dr, dh] = mixture.slopes(mean.ratio, y, theta);
    [ZeroMixture::value(y, h, mixture.change), dm, dr, dh]
}

/// Deviance part `y ln(y / m) - e` with `e = y - m` known without cancellation.
#[inline(always)]
fn deviance(y: f32, m: f32, e: f32) -> f32 {
    let sum = y + m;
    let close = e.abs() < 0.25 * sum;
    let v = select(close, e, y) / select(close, sum, m);
    let u = v * v;
    // u/3 + u^2/5 + ... + u^6/13
    let s = 7.692_308e-2_f32;
    let s = s.mul_add(u, 9.090_909e-2);
    let s = s.mul_add(u, 1.111_111_1e-1);
    let s = s.mul_add(u, 1.428_571_5e-1);
    let s = s.mul_add(u, 0.2);
    let s = s.mul_add(u, 3.333_333_4e-1);
    let near = e.mul_add(v, (y + y) * v * (s * u));
    let far = y.mul_add(ln(v), -e);
    select(close, near, far)
}

/// Log-probability of a count `x >= 1`.
#[inline(always)]
pub fn count_value(x: f32, mean: Mean, t: Dispersion) -> f32 {
    let (n, k) = (x + t.theta, 1.0 / (1.0 + mean.ratio));
    let excess = k * (x - mean.mu);
    let (w, v) = (1.0 / n, 1.0 / x);
    let errors = w.mul_add(stirling_scaled(w), -(v * stirling_scaled(v))) - t.error;
    let deviances = deviance(x, n * (mean.ratio * k), excess) + deviance(t.theta, n * k, -excess);
    let scale = 0.5_f32.mul_add(ln(x) + log1p(x * t.inverse), HALF_LN_TWO_PI);
    (errors - deviances) - scale
}

/// `[d/dm, d/dr]` of [`count_value`].
///
/// `digamma(x + theta) - digamma(theta)` is taken from `1 + theta` on, where what digamma has beyond
/// the logarithm is a short polynomial; the step to there is `1/theta`.
#[inline(always)]
pub fn count_slopes(x: f32, mean: Mean, t: Dispersion) -> [f32; 2] {
    // x minus its expectation (x + theta) sg(d), without cancellation
    let excess = (1.0 / (1.0 + mean.ratio)) * (x - mean.mu);
    let further = log1p((x - 1.0) * t.inverse_next) + (digamma_rest(1.0 / (x + t.theta)) - t.digamma_next);
    let rise = t.inverse + further;
    [excess, t.theta.mul_add(rise - mean.log_ratio, -excess)]
}

/// Log-probability of a count `x >= 1`: `[ln p, d/dm, d/dr]`.
#[inline(always)]
pub fn nb_count(x: f32, mean: Mean, t: Dispersion) -> [f32; 3] {
    let [dm, dr] = count_slopes(x, mean, t);
    [count_value(x, mean, t), dm, dr]
}

/// `[sp(h), sg(h)]`: what zero inflation takes from the log-probability of a count above 0 and from
/// its derivative.
#[inline(always)]
pub fn inflation(h: f32) -> [f32; 2] {
    let a = exp_low(-h.abs());
    let above = h >= 0.0;
    [select(above, h, 0.0) + log1p_above(a), select(above, 1.0, a) / (1.0 + a)]
}

/// [`nb_count`] with zero inflation: `[ln p, d/dm, d/dr, d/dh]`.
#[inline(always)]
pub fn zinb_count(x: f32, mean: Mean, t: Dispersion, h: f32) -> [f32; 4] {
    let [value, dm, dr] = nb_count(x, mean, t);
    let [loss, share] = inflation(h);
    [value - loss, dm, dr, -share]
}
