//! Sines and cosines.
//!
//! Large arguments are reduced in fixed point with as many bits of 1/(2 pi) as their exponent asks
//! for (Payne and Hanek 1983), so that the whole range is right; there is no second path.

use super::select;

/// `sin pi d` and `cos pi d` for |d| <= 1/4, with their rounding errors.
#[inline(always)]
fn sincos_pi_small(d: f32) -> Pairs {
    let v = d * d;
    let s = 7.917889e-02_f32;
    let s = s.mul_add(v, -5.989822e-01);
    let s = s.mul_add(v, 2.5501547e+00);
    let s = s.mul_add(v, -5.1677127e+00);
    // pi = PI - 8.742278e-8
    let s_small = d * v.mul_add(s, -8.742_278e-8);
    let s = d.mul_add(PI, s_small);
    let c = 2.2875077e-01_f32;
    let c = c.mul_add(v, -1.3347361e+00);
    let c = c.mul_add(v, 4.0586963e+00);
    let c = c.mul_add(v, -4.934802e+00);
    let c_small = v * c;
    let c = 1.0 + c_small;
    Pairs { s, s_rest: d.mul_add(PI, -s) + s_small, c, c_rest: (1.0 - c) + c_small }
}

/// A sine and a cosine, each an unevaluated sum.
#[derive(Clone, Copy)]
pub(super) struct Pairs {
    pub s: f32,
    pub s_rest: f32,
    pub c: f32,
    pub c_rest: f32,
}

const PI: f32 = std::f32::consts::PI;
const TWO_PI_HI: f32 = std::f32::consts::TAU;
const TWO_PI_LO: f32 = -1.748_455_5e-7;

/// `(sin r, cos r)` for |r| <= pi/4 radians.
#[inline(always)]
fn sincos_small(r: f32) -> (f32, f32) {
    let v = r * r;
    let s = 2.837_247_2e-6_f32;
    let s = s.mul_add(v, -1.985_349_8e-4);
    let s = s.mul_add(v, 8.333_38e-3);
    let s = s.mul_add(v, -1.666_666_7e-1);
    let c = 2.443_066_8e-5_f32;
    let c = c.mul_add(v, -1.388_730_1e-3);
    let c = c.mul_add(v, 4.166_664_6e-2);
    let c = c.mul_add(v, -0.5);
    ((r * v).mul_add(s, r), v.mul_add(c, 1.0))
}

/// Turns `(sin, cos)` of the reduced angle by `quarter` right angles.
#[inline(always)]
fn rotate(quarter: u32, (s, c): (f32, f32)) -> (f32, f32) {
    let swap = quarter & 1 != 0;
    let (a, b) = (select(swap, c, s), select(swap, s, c));
    let flip_a = (quarter & 2) << 30;
    let flip_b = (quarter.wrapping_add(1) & 2) << 30;
    (f32::from_bits(a.to_bits() ^ flip_a), f32::from_bits(b.to_bits() ^ flip_b))
}

/// `(sin, cos)` of `2 pi turn / 2^32`.
///
/// The reduction is exact when the low 8 bits of `turn` are 0 (a 24-bit uniform draw); otherwise the
/// reduced angle is rounded to binary32 first.
#[inline(always)]
pub fn sincos_2pi(turn: u32) -> (f32, f32) {
    let quarter = turn.wrapping_add(1 << 29) >> 30;
    let rest = turn.wrapping_sub(quarter << 30) as i32;
    let Pairs { s, c, .. } = sincos_pi_small(rest as f32 * 4.656_613e-10);
    rotate(quarter, (s, c))
}

/// A zero word, then the binary digits of 1/(2 pi).
const INV_TWO_PI: [u32; 8] =
    [0, 0x28BE_60DB, 0x9391_054A, 0x7F09_D5F4, 0x7D4D_3770, 0x36D8_A566, 0x4F10_E410, 0x7F94_58EA];

/// `(sin x, cos x)`, x in radians; NaN for infinities.
#[inline(always)]
pub fn sincos(x: f32) -> (f32, f32) {
    let bits = x.to_bits();
    // |x| = m 2^(e - 32) with the top bit of m set; e >= 0 wherever the outcome is used.
    let m = (bits << 8) | 0x8000_0000;
    let e = ((bits >> 23) & 0xff).wrapping_sub(126);
    let word = e >> 5;
    let shift = e & 31;
    // 32 digits of 1/(2 pi) before the binary point of 2^e / (2 pi), 64 after it.
    let window = |i: u32| {
        let left = INV_TWO_PI[(word.wrapping_add(i) & 7) as usize];
        let right = INV_TWO_PI[(word.wrapping_add(i + 1) & 7) as usize];
        (left << shift) | ((right >> 1) >> (31 - shift))
    };
    let (high, middle, low) = (window(0), window(1), window(2));
    // The turns of |x| modulo 1, in units of 2^-64.
    let turns = (u64::from(m.wrapping_mul(high)) << 32)
        .wrapping_add(u64::from(m) * u64::from(middle))
        .wrapping_add((u64::from(m) * u64::from(low)) >> 32);
    let quarter = (turns.wrapping_add(1 << 61) >> 62) as u32;
    let rest = turns.wrapping_sub(u64::from(quarter) << 62);
    let negative = (rest >> 63) as u32;
    let rest = (rest ^ 0u64.wrapping_sub(u64::from(negative))).wrapping_add(u64::from(negative));
    // 23 leading places exactly, the next 31 rounded.
    let (upper, lower) = ((rest >> 32) as u32, rest as u32);
    let a = (upper & !0x3f) as i32 as f32 * 2.328_306_4e-10;
    let b = (((upper & 0x3f) << 25) | (lower >> 7)) as i32 as f32 * 6.938_894e-18;
    let radians = a.mul_add(TWO_PI_HI, b.mul_add(TWO_PI_HI, a * TWO_PI_LO));
    let radians = f32::from_bits(radians.to_bits() ^ (negative << 31));

    let a = x.abs();
    let small = a < std::f32::consts::FRAC_PI_4;
    let r = select(small, a, radians);
    let r = select(a < f32::INFINITY, r, f32::NAN);
    let (s, c) = rotate(select(small, 0, quarter), sincos_small(r));
    (f32::from_bits(s.to_bits() ^ (bits & 0x8000_0000)), c)
}

/// `sin x`, x in radians.
#[inline(always)]
pub fn sin(x: f32) -> f32 {
    sincos(x).0
}

/// `cos x`, x in radians.
#[inline(always)]
pub fn cos(x: f32) -> f32 {
    sincos(x).1
}

/// `|sin pi x|` and `|cos pi x|`, and whether `tan pi x < 0`, for `x >= 0`; the reduction is exact.
#[inline(always)]
pub(super) fn sincos_pi_abs(x: f32) -> (Pairs, bool) {
    // From 2^23 on every number is an integer; below, adding 2^23 rounds to one.
    let nearest = (x + 8_388_608.0) - 8_388_608.0;
    let d = select(x < 8_388_608.0, x - nearest, 0.0);
    let a = d.abs();
    let swap = a > 0.25;
    let p = sincos_pi_small(select(swap, 0.5 - a, a));
    let swapped = Pairs { s: p.c, s_rest: p.c_rest, c: p.s, c_rest: p.s_rest };
    (select(swap, swapped, p), d < 0.0)
}
