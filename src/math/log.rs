//! Logarithms: split off a power of two so that `1 + f` lies in [3/4, 3/2), then a polynomial in `f`.

use super::exp::{LN2_HI, LOG2_E};
use super::{select, with_sign};

const THREE_QUARTERS: u32 = 0x3f40_0000;

/// `ln(1 + f)` for f in [-1/4, 1/2], relative error 4.8e-9 before rounding.
#[inline(always)]
pub(super) fn log1p_reduced(f: f32) -> f32 {
    let q = -4.617_496_2e-2_f32;
    let q = q.mul_add(f, 1.058_296_34e-1);
    let q = q.mul_add(f, -1.318_636_4e-1);
    let q = q.mul_add(f, 1.446_747_2e-1);
    let q = q.mul_add(f, -1.664_377_7e-1);
    let q = q.mul_add(f, 1.999_111_3e-1);
    let q = q.mul_add(f, -2.500_019_4e-1);
    let q = q.mul_add(f, 3.333_344_8e-1);
    let q = q.mul_add(f, -0.5);
    (f * f).mul_add(q, f)
}

/// `x = 2^e (1 + f)` with f in [-1/4, 1/2) for finite `x > 0`, subnormal or not. Returns `(e, f)`.
#[inline(always)]
pub(super) fn split(x: f32) -> (f32, f32) {
    let tiny = x < f32::MIN_POSITIVE;
    let scaled = select(tiny, x * 8_388_608.0, x);
    let shift = select(tiny, -23.0, 0.0);
    let bits = scaled.to_bits();
    let e = bits.wrapping_sub(THREE_QUARTERS) & 0xff80_0000;
    let f = f32::from_bits(bits.wrapping_sub(e)) - 1.0;
    // The exponent still stands 23 bits to the left.
    ((e as i32 as f32).mul_add(1.192_092_9e-7, shift), f)
}

/// C99 results outside the positive finite numbers, `y` on them.
#[inline(always)]
fn with_poles(x: f32, y: f32) -> f32 {
    let y = select(x < f32::INFINITY, y, x);
    let y = select(x == 0.0, f32::NEG_INFINITY, y);
    select(x < 0.0, f32::NAN, y)
}

/// Natural logarithm. `ln(±0) = -inf`, NaN below 0.
#[inline(always)]
pub fn ln(x: f32) -> f32 {
    let (e, f) = split(x);
    // The nearest binary32 to ln 2 is right to 2.8e-9, so one term is enough.
    with_poles(x, e.mul_add(LN2_HI, log1p_reduced(f)))
}

/// Base-2 logarithm, exact for powers of two.
#[inline(always)]
pub fn log2(x: f32) -> f32 {
    let (e, f) = split(x);
    let l = log1p_reduced(f);
    // log2(e) = LOG2_E + 1.925963e-8
    with_poles(x, l.mul_add(LOG2_E, l.mul_add(1.925_963e-8, e)))
}

/// `ln(1 + x)` without cancellation near 0; keeps the sign of zero.
#[inline(always)]
pub fn log1p(x: f32) -> f32 {
    let u = 1.0 + x;
    let e = u.to_bits().wrapping_sub(THREE_QUARTERS) & 0xff80_0000;
    // 1 + f = (1 + x) 2^-e, with x 2^-e exact: one rounding.
    let scaled = f32::from_bits(x.to_bits().wrapping_sub(e));
    let four = f32::from_bits(4.0_f32.to_bits().wrapping_sub(e));
    let f = scaled + four.mul_add(0.25, -1.0);
    let y = (e as i32 as f32 * 1.192_092_9e-7).mul_add(LN2_HI, log1p_reduced(f));
    let y = select(x < f32::INFINITY, with_sign(y, x), x);
    let y = select(x == -1.0, f32::NEG_INFINITY, y);
    select(x < -1.0, f32::NAN, y)
}
