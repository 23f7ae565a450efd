//! Sines and cosines.

/// `(sin 2 pi r, cos 2 pi r)` for r in [-1/8, 1/8] turns.
#[inline(always)]
fn sincos_eighth(r: f32) -> (f32, f32) {
    let v = r * r;
    let s = 4.053_959_3e1_f32;
    let s = s.mul_add(v, -7.666_972e1);
    let s = s.mul_add(v, 8.160_495e1);
    let s = s.mul_add(v, -4.134_17e1);
    // 2 pi = 6.2831855 - 1.7484555e-7
    let s = r.mul_add(6.283_185_5, r * v.mul_add(s, -1.748_455_5e-7));
    let c = 5.856_019_6e1_f32;
    let c = c.mul_add(v, -8.542_311e1);
    let c = c.mul_add(v, 6.493_914e1);
    let c = c.mul_add(v, -1.973_920_8e1);
    (s, v.mul_add(c, 1.0))
}

/// Turns `(sin, cos)` of the reduced angle by `quarter` right angles.
#[inline(always)]
fn rotate(quarter: u32, (s, c): (f32, f32)) -> (f32, f32) {
    let swap = quarter & 1 != 0;
    let (a, b) = (if swap { c } else { s }, if swap { s } else { c });
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
    rotate(quarter, sincos_eighth(rest as f32 * 2.328_306_4e-10))
}
