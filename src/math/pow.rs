//! Powers, through a base-2 logarithm carried as an unevaluated sum of two binary32 numbers.

use super::exp::{exp2_parts, scale};
use super::log::split;
use super::select;

/// `log2(a) = h + l` to about 2^-40 relatively, for finite a > 0.
///
/// `ln(1 + f) = 2 atanh(q)`, `q = f / (2 + f)`.
#[inline(always)]
fn log2_pair(a: f32) -> (f32, f32) {
    let (e, f) = split(a);
    // 2 + f = d + d_rest, f / (2 + f) = q + q_rest
    let d = 2.0 + f;
    let d_rest = f - (d - 2.0);
    let q = f / d;
    let q_rest = q.mul_add(-d_rest, q.mul_add(-d, f)) / d;
    let s = q * q;
    let s_rest = q.mul_add(q, -s) + 2.0 * q * q_rest;
    // atanh(q)/q - 1 = s u, u = 1/3 + s (1/5 + ...) = u + u_rest; 1/3 = 0.33333334 - 9.934108e-9
    let t = 9.958_908e-2_f32;
    let t = t.mul_add(s, 1.107_786_15e-1);
    let t = t.mul_add(s, 1.428_623_2e-1);
    let t = t.mul_add(s, 1.999_999_7e-1);
    let t = s * t;
    let u = 0.333_333_34 + t;
    let u_rest = ((0.333_333_34 - u) + t) - 9.934_108e-9;
    let v = s * u;
    let v_rest = s.mul_add(u, -v) + s.mul_add(u_rest, s_rest * u);
    let z = q * v;
    let z_rest = q.mul_add(v, -z) + q.mul_add(v_rest, q_rest * v);
    let h = q + z;
    let l = ((q - h) + z) + (q_rest + z_rest);
    // times 2 log2(e) = 2.88539 + 3.851926e-8
    let p = h * 2.885_39;
    let p_rest = h.mul_add(2.885_39, -p) + h.mul_add(3.851_926e-8, l * 2.885_39);
    let y = e + p;
    (y, ((e - y) + p) + p_rest)
}

/// `x^y` with the special cases of C99 Annex F.
#[inline(always)]
pub fn pow(x: f32, y: f32) -> f32 {
    let a = x.abs();
    let (h, l) = log2_pair(a);
    let end = a == 0.0 || a == f32::INFINITY;
    let pole = select(a == 0.0, f32::NEG_INFINITY, f32::INFINITY);
    let (h, l) = select(end, (pole, 0.0), (h, l));
    let t = y * h;
    let t_rest = y.mul_add(l, y.mul_add(h, -t));
    let beyond = t.abs() > 160.0;
    let bounded = select(t > 160.0, 160.0, t);
    let bounded = select(bounded < -160.0, -160.0, bounded);
    let (p, n) = exp2_parts(bounded, select(beyond, 0.0, t_rest));
    let value = scale(p, n);

    let b = y.abs();
    let whole = (select(b < 33_554_432.0, b, 33_554_432.0)) as i32;
    let integer = whole as f32 == b || b >= 33_554_432.0;
    let odd = integer && whole & 1 != 0;
    let value = select(a == 1.0 && !y.is_nan(), 1.0, value);
    let sign = select(odd, x.to_bits() & 0x8000_0000, 0);
    let value = f32::from_bits(value.to_bits() | sign);
    let value = select(x < 0.0 && a != f32::INFINITY && !integer, f32::NAN, value);
    let value = select(a.is_nan() || y.is_nan(), f32::NAN, value);
    let trivial = y == 0.0 || x == 1.0;
    select(trivial, 1.0, value)
}
