//! The error function, its complement and the normal distribution function.

use std::f32::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

use super::exp::{exp, exp_second_order, reduce_pair, scale};
use super::{power_of_two, select, with_sign};

/// `erf a` for 0 <= a <= 1.
#[inline(always)]
fn erf_small(a: f32) -> f32 {
    let v = a * a;
    let p = 7.920_368e-5_f32;
    let p = p.mul_add(v, -8.030_761_4e-4);
    let p = p.mul_add(v, 5.190_734e-3);
    let p = p.mul_add(v, -2.685_512_6e-2);
    let p = p.mul_add(v, 1.128_361_8e-1);
    let p = p.mul_add(v, -3.761_263e-1);
    let p = p.mul_add(v, 1.283_791_7e-1);
    a.mul_add(p, a)
}

/// Error function `2/sqrt(pi) * integral of e^-t^2 from 0 to x`.
#[inline(always)]
pub fn erf(x: f32) -> f32 {
    let a = x.abs();
    let small = erf_small(a);
    // -ln erfc on [1, 4]; erf(4) rounds to 1.
    let b = select(a > 4.0, 4.0, a);
    let q = 2.168_409_3e-5_f32;
    let q = q.mul_add(b, -4.413_075_8e-4);
    let q = q.mul_add(b, 4.204_437_6e-3);
    let q = q.mul_add(b, -2.520_797_4e-2);
    let q = q.mul_add(b, 1.084_182_2e-1);
    let q = q.mul_add(b, 6.332_201_4e-1);
    let q = q.mul_add(b, 1.129_578_4);
    let q = q.mul_add(b, -1.880_370_5e-4);
    let large = 1.0 - exp(-q);
    with_sign(select(a < 1.0, small, large), x)
}

/// `erfc(h + l) * 2^shift` for `h >= 0` and a correction |l| <= ulp(h); rounded once into the subnormals.
///
/// `erfc(x) = e^(-x^2) G / (1 + 2x)` with `G` a polynomial in `q = (x-2)/(x+2)`. The rounding errors
/// of q, 1 + 2x, the quotient and x^2 are carried along, since each costs half an ulp or (the
/// square) much more.
#[inline(always)]
fn erfc_positive(h: f32, l: f32, shift: i32) -> f32 {
    let (h, l) = select(h > 10.3, (10.3, 0.0), (h, l));
    let r = 1.0 / (h + 2.0);
    let q = r.mul_add(-4.0, 1.0);
    let q = r.mul_add(q.mul_add(-h, (q + 1.0).mul_add(-2.0, h)), q);
    let p = 1.117_600_9e-4_f32;
    let p = p.mul_add(q, 2.111_477_1e-4);
    let p = p.mul_add(q, -4.471_324_8e-4);
    let p = p.mul_add(q, -1.488_039_9e-3);
    let p = p.mul_add(q, 1.274_804_1e-3);
    let p = p.mul_add(q, 8.746_671_5e-3);
    let p = p.mul_add(q, -8.035_019e-3);
    let p = p.mul_add(q, -5.422_642_5e-2);
    let p = p.mul_add(q, 1.640_513_2e-1);
    let p = p.mul_add(q, -1.660_298_3e-1);
    let p = p.mul_add(q, -9.276_382_6e-2);
    let top = p.mul_add(q, 1.276_978_4);
    let top_rest = p.mul_add(q, 1.276_978_4 - top);
    // 1 + 2(h + l) = d + lost
    let b = h + h;
    let d = 1.0 + b;
    let t = d - 1.0;
    let lost = (1.0 - (d - t)) + ((b - t) + (l + l));
    let g = top / d;
    let g_rest = (g.mul_add(-lost, g.mul_add(-d, top)) + top_rest) / d;
    // (h + l)^2 = s + s_rest
    let s = h * h;
    let s_rest = b.mul_add(l, h.mul_add(h, -s));
    let (n, r, r_rest) = reduce_pair(-s, -s_rest);
    let small = (r * r).mul_add(exp_second_order(r), r_rest);
    let far = scale(g + g.mul_add(r, g.mul_add(small, g_rest)), n + shift);
    // erf(h + l) = erf h + 2/sqrt(pi) e^-s l
    let slope = s.mul_add(s.mul_add(0.5 * FRAC_2_SQRT_PI, -FRAC_2_SQRT_PI), FRAC_2_SQRT_PI);
    let near = l.mul_add(-slope, 1.0 - erf_small(h));
    select(h < 0.75, near * power_of_two(shift), far)
}

/// `1 - erf(x)` without cancellation in the upper tail.
#[inline(always)]
pub fn erfc(x: f32) -> f32 {
    let tail = erfc_positive(x.abs(), 0.0, 0);
    select(x < 0.0, 2.0 - tail, tail)
}

/// Standard normal distribution function, right into the lower tail.
#[inline(always)]
pub fn ndtr(x: f32) -> f32 {
    // |x| / sqrt 2 = h + l; sqrt(1/2) = 0.70710677 + 1.2101617e-8
    let a = x.abs();
    let a = select(a > 15.0, 15.0, a);
    let h = a * FRAC_1_SQRT_2;
    let l = a.mul_add(1.210_161_7e-8, a.mul_add(FRAC_1_SQRT_2, -h));
    let tail = erfc_positive(h, l, -1);
    select(x > 0.0, 1.0 - tail, tail)
}
