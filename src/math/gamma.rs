//! The logarithm of the gamma function and its derivatives.
//!
//! From 5/2 (2 for the derivatives) on, Stirling's form with a minimax polynomial in `1/x^2` for the
//! remainder; nearer to 0 a polynomial about the zeros, so that `lgamma` at 1 and 2 and `digamma` at
//! 1.4616 keep their relative accuracy; below 0 the reflection formulas.

use super::exp::{LN2_HI, LN2_LO};
use super::log::{log1p_reduced, split};
use super::select;
use super::trig::sincos_pi_abs;

const PI: f32 = std::f32::consts::PI;
const HALF_LN_TWO_PI: f32 = 0.918_938_5;

/// `ln Gamma(2 + t) / t` for t in [-1, 1/2].
#[inline(always)]
fn lgamma_about_two(t: f32) -> f32 {
    let p = -2.513_27e-4_f32;
    let p = p.mul_add(t, -1.294_868_9e-4);
    let p = p.mul_add(t, -1.966_160_2e-4);
    let p = p.mul_add(t, 6.373_971e-4);
    let p = p.mul_add(t, -1.167_345_1e-3);
    let p = p.mul_add(t, 2.868_068e-3);
    let p = p.mul_add(t, -7.392_041_4e-3);
    let p = p.mul_add(t, 2.058_208_7e-2);
    let p = p.mul_add(t, -6.735_186e-2);
    let p = p.mul_add(t, 3.224_670_3e-1);
    p.mul_add(t, 4.227_843_3e-1)
}

/// `ln Gamma(x) - (x - 1/2) ln x + x - ln(2 pi)/2` for x >= 5/2.
#[inline(always)]
fn stirling_rest(x: f32) -> f32 {
    let w = 1.0 / x;
    let v = w * w;
    let p = -3.858_714e-4_f32;
    let p = p.mul_add(v, 7.705_450_4e-4);
    let p = p.mul_add(v, -2.776_759_2e-3);
    let p = p.mul_add(v, 8.333_332e-2);
    w * p
}

/// `ln Gamma(x)` for `x >= 0`, NaN below: the bits of [`lgamma`] at a third of its cost.
#[inline(always)]
pub fn lgamma_positive(x: f32) -> f32 {
    let (h, l) = ln_pair(x);
    let far = (x - 0.5).mul_add((h - 1.0) + l, stirling_rest(x) + (HALF_LN_TWO_PI - 0.5));
    let low = x < 1.5;
    let t = x - select(low, 1.0, 2.0);
    let near = t.mul_add(lgamma_about_two(t), select(low, -h, 0.0)) - select(low, l, 0.0);
    let y = select(x < 2.5, near, far);
    let y = select(x > 0.0, y, f32::NAN);
    select(x == 0.0 || x == f32::INFINITY, f32::INFINITY, y)
}

/// `a + b` and its rounding error (Knuth).
#[inline(always)]
fn two_sum(a: f32, b: f32) -> (f32, f32) {
    let s = a + b;
    let t = s - a;
    (s, (a - (s - t)) + (b - t))
}

/// `ln x` as an unevaluated sum, for finite x > 0.
#[inline(always)]
fn ln_pair(x: f32) -> (f32, f32) {
    let (e, f) = split(x);
    let g = log1p_reduced(f);
    let h = e.mul_add(LN2_HI, g);
    (h, e.mul_add(LN2_LO, e.mul_add(LN2_HI, -h) + g))
}

/// `ln |Gamma(-a)| = ln pi - ln |sin pi a| - ln Gamma(1 + a)` for `a > 0`.
///
/// The two large terms nearly cancel around the zeros, so they are kept as pairs.
#[inline(always)]
fn lgamma_negative(a: f32) -> f32 {
    let sin = sincos_pi_abs(a).0.s;
    let (sh, sl) = ln_pair(sin);
    let (lh, ll) = ln_pair(a);
    let far = a >= 2.5;
    let low = a < 1.5;
    // ln Gamma(1 + a) = factor ln a - minus + small
    let t = a - select(low, 1.0, 2.0);
    let factor = select(low, 0.0, 1.0);
    let factor = select(far, a, factor);
    let minus = select(far, a, 0.0);
    let near = t * lgamma_about_two(t);
    let small = select(far, lh.mul_add(0.5, stirling_rest(a) + HALF_LN_TWO_PI), near);
    let p = factor * lh;
    let p_rest = factor.mul_add(ll, factor.mul_add(lh, -p));
    let (u, u_rest) = two_sum(minus, -p);
    let (v, v_rest) = two_sum(u, -sh);
    // ln pi = 1.1447299 + 3.3e-8
    let y = v + ((u_rest + v_rest) + (1.144_729_9 - small) - (p_rest + sl));
    // Where sin(pi a) could be subnormal, and so inexact: ln Gamma(-a) = -ln a.
    let y = select(a < 1e-9, -lh, y);
    select(sin == 0.0, f32::INFINITY, y)
}

/// `ln |Gamma(x)|`; infinite at 0, at the negative integers and at both infinities.
#[inline(always)]
pub fn lgamma(x: f32) -> f32 {
    let above = lgamma_positive(x);
    let below = lgamma_negative(-x);
    select(x < 0.0, below, above)
}

/// `digamma(z)` for z >= 1, as an unevaluated sum.
#[inline(always)]
fn digamma_from_one(z: f32) -> (f32, f32) {
    // On [1, 2) with the zero at 1.4616321 + 1.2438e-8 split off.
    let u = z - 1.5;
    let p = 9.756_436e-3_f32;
    let p = p.mul_add(u, -1.609_793_3e-2);
    let p = p.mul_add(u, 1.792_019_2e-2);
    let p = p.mul_add(u, -2.594_483e-2);
    let p = p.mul_add(u, 4.064_859_4e-2);
    let p = p.mul_add(u, -6.202_452_3e-2);
    let p = p.mul_add(u, 9.500_605e-2);
    let p = p.mul_add(u, -1.484_013_8e-1);
    let p = p.mul_add(u, 2.405_416_5e-1);
    let p = p.mul_add(u, -4.236_274_4e-1);
    let p = p.mul_add(u, 9.510_559e-1);
    let near = ((z - 1.461_632_1) - 1.243_815e-8) * p;
    let w = 1.0 / z;
    let v = w * w;
    let q = 2.051_284e-3_f32;
    let q = q.mul_add(v, -3.162_392_9e-3);
    let q = q.mul_add(v, 3.866_125e-3);
    let q = q.mul_add(v, -8.328_417e-3);
    let q = q.mul_add(v, 8.333_325_4e-2);
    let (h, l) = ln_pair(z);
    let h = select(z < f32::INFINITY, h, z);
    let l = l - w.mul_add(0.5, v * q);
    (select(z < 2.0, near, h), select(z < 2.0, 0.0, l))
}

/// `d/dx ln Gamma(x)` for `x >= 0` (`-inf` at 0), NaN below: the bits of [`digamma`] at half its cost.
#[inline(always)]
pub fn digamma_positive(x: f32) -> f32 {
    let step = x < 1.0;
    let (h, l) = digamma_from_one(select(step, 1.0 + x, x));
    let y = (h + l) - select(step, 1.0 / x, 0.0);
    select(x < 0.0, f32::NAN, y)
}

/// `d/dx ln Gamma(x)`; `-inf` at 0, `inf` at -0, NaN at the negative integers.
#[inline(always)]
pub fn digamma(x: f32) -> f32 {
    let reflect = x < 0.0;
    let step = x < 1.0;
    let z = select(reflect, -x, x);
    let (h, l) = digamma_from_one(select(step, 1.0 + z, z));
    // Minus 1/x in [0, 1), minus pi cot(pi x) below 0, whose rounding errors are taken back
    // because the two terms cancel around the zeros.
    let (p, falling) = sincos_pi_abs(-x);
    let cot = p.c / p.s;
    let cot_rest = (cot.mul_add(-p.s_rest, cot.mul_add(-p.s, p.c)) + p.c_rest) / p.s;
    let t = PI * cot;
    let t_rest = PI.mul_add(cot, -t) + PI.mul_add(cot_rest, cot * -8.742_278e-8);
    let sign = select(falling, -1.0_f32, 1.0);
    // 1/tiny overflows; there the rest is not a number and not needed.
    let below = select(t < 1e30, sign.mul_add(t, h) + sign.mul_add(t_rest, l), sign * t);
    let above = (h + l) - select(step, 1.0 / x, 0.0);
    let below = select(p.s == 0.0, f32::NAN, below);
    select(reflect, below, above)
}

/// `d^2/dx^2 ln Gamma(x)`; infinite at 0 and the negative integers, NaN at `-inf`.
#[inline(always)]
pub fn trigamma(x: f32) -> f32 {
    let reflect = x < 0.0;
    let z = select(reflect, 1.0 - x, x);
    // trigamma(z) = 1/z^2 + trigamma(z + 1), until z >= 2
    let once = z < 2.0;
    let twice = z < 1.0;
    let next = select(once, z + 1.0, z);
    let i = select(once, 1.0 / z, 0.0);
    let j = select(twice, 1.0 / next, 0.0);
    let w = 1.0 / select(twice, next + 1.0, next);
    let v = w * w;
    let p = -2.719_386_1e-2_f32;
    let p = p.mul_add(v, 3.670_615_7e-2);
    let p = p.mul_add(v, -2.868_052_4e-2);
    let p = p.mul_add(v, 2.348_604e-2);
    let p = p.mul_add(v, -3.332_229_7e-2);
    let p = p.mul_add(v, 1.666_665_4e-1);
    let y = i.mul_add(i, j.mul_add(j, w.mul_add(v * p, v.mul_add(0.5, w))));
    let r = PI / sincos_pi_abs(-x).0.s;
    let below = r.mul_add(r, -y);
    let below = select(x == f32::NEG_INFINITY, f32::NAN, below);
    select(reflect, below, y)
}
