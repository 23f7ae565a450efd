//! Exponentials: reduce to |r| <= ln(2)/2, a polynomial there, scale by a power of two.
//!
//! Coefficients are minimax fits whose leading terms were rounded to binary32 before the next ones
//! were fitted.

use super::{ROUND, power_of_two, select, with_sign};

pub(crate) const LOG2_E: f32 = std::f32::consts::LOG2_E;
/// ln 2 = `LN2_HI` + `LN2_LO`; the high part is the nearest binary32.
pub(crate) const LN2_HI: f32 = std::f32::consts::LN_2;
pub(crate) const LN2_LO: f32 = -1.904_654_3e-9;

/// `p * 2^n` for `-252 <= n <= 254`, rounded once at the most.
#[inline(always)]
pub(super) fn scale(p: f32, n: i32) -> f32 {
    let half = n >> 1;
    p * power_of_two(half) * power_of_two(n - half)
}

/// Splits `x = n ln 2 + r`; needs |x| < 2^21.
#[inline(always)]
pub(super) fn reduce(x: f32) -> (i32, f32) {
    let k = x.mul_add(LOG2_E, ROUND);
    let n = k - ROUND;
    let r = n.mul_add(-LN2_LO, n.mul_add(-LN2_HI, x));
    (k.to_bits().wrapping_sub(ROUND.to_bits()) as i32, r)
}

/// Splits `x + rest = n ln 2 + r + r_rest`, for a `rest` of a few ulp of x.
#[inline(always)]
pub(super) fn reduce_pair(x: f32, rest: f32) -> (i32, f32, f32) {
    let k = x.mul_add(LOG2_E, ROUND);
    let n = k - ROUND;
    let a = n.mul_add(-LN2_HI, x);
    let b = n.mul_add(-LN2_LO, rest);
    let r = a + b;
    (k.to_bits().wrapping_sub(ROUND.to_bits()) as i32, r, (a - r) + b)
}

/// Coefficients of [`exp_second_order`], the highest power first.
pub(crate) const SECOND_ORDER: [f32; 5] = [1.394_222e-3, 8.368_861e-3, 4.166_638_5e-2, 1.666_652e-1, 0.5];

/// `(e^r - 1 - r) / r^2` for |r| <= 0.3475.
#[inline(always)]
pub(super) fn exp_second_order(r: f32) -> f32 {
    let [a, b, c, d, e] = SECOND_ORDER;
    a.mul_add(r, b).mul_add(r, c).mul_add(r, d).mul_add(r, e)
}

/// `e^r - 1` for |r| <= 0.3475, absolute error 3.3e-9 before rounding.
#[inline(always)]
pub(super) fn expm1_reduced(r: f32) -> f32 {
    (r * r).mul_add(exp_second_order(r), r)
}

/// `e^x`. Overflows to infinity above 88.72, reaches 0 below -103.97.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    let c = select(x > 89.0, 89.0, x);
    let c = select(c < -105.0, -105.0, c);
    let (n, r) = reduce(c);
    scale(1.0 + expm1_reduced(r), n)
}

/// `2^(x + rest) = p 2^n` for |x| < 2^21 and a `rest` of a few ulp of x. Returns `(p, n)`.
#[inline(always)]
pub(super) fn exp2_parts(x: f32, rest: f32) -> (f32, i32) {
    let k = x + ROUND;
    let r = (x - (k - ROUND)) + rest;
    let n = k.to_bits().wrapping_sub(ROUND.to_bits()) as i32;
    let p = 1.532_351_6e-5_f32;
    let p = p.mul_add(r, 1.545_597_6e-4);
    let p = p.mul_add(r, 1.333_340_3e-3);
    let p = p.mul_add(r, 9.618_078e-3);
    let p = p.mul_add(r, 5.550_411e-2);
    let p = p.mul_add(r, 2.402_265e-1);
    let p = p.mul_add(r, LN2_LO);
    (1.0 + LN2_HI.mul_add(r, r * p), n)
}

/// `2^x`, exact for integers.
#[inline(always)]
pub fn exp2(x: f32) -> f32 {
    let c = select(x > 129.0, 129.0, x);
    let c = select(c < -151.0, -151.0, c);
    let (p, n) = exp2_parts(c, 0.0);
    scale(p, n)
}

/// `e^x - 1` without cancellation near 0; keeps the sign of zero.
#[inline(always)]
pub fn expm1(x: f32) -> f32 {
    let c = select(x > 89.0, 89.0, x);
    let c = select(c < -18.0, -18.0, c);
    let (n, r) = reduce(c);
    let p = 1.994_427_1e-4_f32;
    let p = p.mul_add(r, 1.393_272_3e-3);
    let p = p.mul_add(r, 8.333_208e-3);
    let p = p.mul_add(r, 4.166_649e-2);
    let p = p.mul_add(r, 1.666_666_7e-1);
    let p = p.mul_add(r, 0.5);
    let p = (r * r).mul_add(p, r);
    // Half of 2^n, because 2^128 is not a number while its product with p may be.
    let t = power_of_two(n - 1);
    let y = t.mul_add(p, t - 0.5);
    with_sign(y + y, x)
}
