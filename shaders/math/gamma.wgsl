// The logarithm of the gamma function and its derivatives.
//
// From 5/2 (2 for the derivatives) on, Stirling's form with a minimax polynomial in `1/x^2` for the
// remainder; nearer to 0 a polynomial about the zeros, so that `lgamma` at 1 and 2 and `digamma` at
// 1.4616 keep their relative accuracy; below 0 the reflection formulas.

// An unevaluated sum.
struct Two {
    h: f32,
    l: f32,
}

// `ln Gamma(2 + t) / t` for t in [-1, 1/2].
fn math_lgamma_about_two(t: f32) -> f32 {
    var p = -2.51327e-4f;
    p = mul_add(p, t, -1.2948689e-4f);
    p = mul_add(p, t, -1.9661602e-4f);
    p = mul_add(p, t, 6.373971e-4f);
    p = mul_add(p, t, -1.1673451e-3f);
    p = mul_add(p, t, 2.868068e-3f);
    p = mul_add(p, t, -7.3920414e-3f);
    p = mul_add(p, t, 2.0582087e-2f);
    p = mul_add(p, t, -6.735186e-2f);
    p = mul_add(p, t, 3.2246703e-1f);
    return mul_add(p, t, 4.2278433e-1f);
}

// `ln Gamma(x) - (x - 1/2) ln x + x - ln(2 pi)/2` for x >= 5/2.
fn math_stirling_rest(x: f32) -> f32 {
    let w = quotient(1.0f, x);
    let v = w * w;
    var p = -3.858714e-4f;
    p = mul_add(p, v, 7.7054504e-4f);
    p = mul_add(p, v, -2.7767592e-3f);
    p = mul_add(p, v, 8.333332e-2f);
    return w * p;
}

// `a + b` and its rounding error (Knuth).
fn math_two_sum(a: f32, b: f32) -> Two {
    let s = a + b;
    let t = s - a;
    return Two(s, (a - (s - t)) + (b - t));
}

// `ln x` as an unevaluated sum, for finite x > 0.
fn math_ln_pair(x: f32) -> Two {
    let of_e_f = math_split(x);
    let e = of_e_f.e;
    let f = of_e_f.f;
    let g = math_log1p_reduced(f);
    let h = mul_add(e, LN2_HI, g);
    return Two(h, mul_add(e, LN2_LO, mul_add(e, LN2_HI, -h) + g));
}

// `ln Gamma(x)` for `x >= 0`, NaN below: the bits of `lgamma` at a third of its cost.
fn math_lgamma_positive(x: f32) -> f32 {
    let of_h_l = math_ln_pair(x);
    let h = of_h_l.h;
    let l = of_h_l.l;
    let far = mul_add(x - 0.5f, (h - 1.0f) + l, math_stirling_rest(x) + (HALF_LN_TWO_PI - 0.5f));
    let low = x < 1.5f;
    let t = x - select(2.0f, 1.0f, low);
    let near = mul_add(t, math_lgamma_about_two(t), select(0.0f, -h, low)) - select(0.0f, l, low);
    var y = select(far, near, x < 2.5f);
    y = select(math_not_a_number(), y, x > 0.0f);
    return select(y, math_infinity(), x == 0.0f || x == math_infinity());
}

// `ln |Gamma(-a)| = ln pi - ln |sin pi a| - ln Gamma(1 + a)` for `a > 0`.
//
// The two large terms nearly cancel around the zeros, so they are kept as pairs.
fn math_lgamma_negative(a: f32) -> f32 {
    let sin = math_sincos_pi_abs(a).p.s;
    let of_sh_sl = math_ln_pair(sin);
    let sh = of_sh_sl.h;
    let sl = of_sh_sl.l;
    let of_lh_ll = math_ln_pair(a);
    let lh = of_lh_ll.h;
    let ll = of_lh_ll.l;
    let far = a >= 2.5f;
    let low = a < 1.5f;
    // ln Gamma(1 + a) = factor ln a - minus + small
    let t = a - select(2.0f, 1.0f, low);
    var factor = select(1.0f, 0.0f, low);
    factor = select(factor, a, far);
    let minus = select(0.0f, a, far);
    let near = t * math_lgamma_about_two(t);
    let small = select(near, mul_add(lh, 0.5f, math_stirling_rest(a) + HALF_LN_TWO_PI), far);
    let p = factor * lh;
    let p_rest = mul_add(factor, ll, mul_add(factor, lh, -p));
    let of_u_u_rest = math_two_sum(minus, -p);
    let u = of_u_u_rest.h;
    let u_rest = of_u_u_rest.l;
    let of_v_v_rest = math_two_sum(u, -sh);
    let v = of_v_v_rest.h;
    let v_rest = of_v_v_rest.l;
    // ln pi = 1.1447299 + 3.3e-8
    var y = v + ((u_rest + v_rest) + (1.1447299f - small) - (p_rest + sl));
    // Where sin(pi a) could be subnormal, and so inexact: ln Gamma(-a) = -ln a.
    y = select(y, -lh, a < 1e-9f);
    return select(y, math_infinity(), sin == 0.0f);
}

// `ln |Gamma(x)|`; infinite at 0, at the negative integers and at both infinities.
fn math_lgamma(x: f32) -> f32 {
    if (x < 0.0f) {
        return math_lgamma_negative(-x);
    }
    return math_lgamma_positive(x);
}

// `digamma(z)` for z >= 1, as an unevaluated sum.
fn math_digamma_from_one(z: f32) -> Two {
    // On [1, 2) with the zero at 1.4616321 + 1.2438e-8 split off.
    let u = z - 1.5f;
    var p = 9.756436e-3f;
    p = mul_add(p, u, -1.6097933e-2f);
    p = mul_add(p, u, 1.7920192e-2f);
    p = mul_add(p, u, -2.594483e-2f);
    p = mul_add(p, u, 4.0648594e-2f);
    p = mul_add(p, u, -6.2024523e-2f);
    p = mul_add(p, u, 9.500605e-2f);
    p = mul_add(p, u, -1.4840138e-1f);
    p = mul_add(p, u, 2.4054165e-1f);
    p = mul_add(p, u, -4.2362744e-1f);
    p = mul_add(p, u, 9.510559e-1f);
    let near = ((z - 1.4616321f) - 1.243815e-8f) * p;
    let w = quotient(1.0f, z);
    let v = w * w;
    var q = 2.051284e-3f;
    q = mul_add(q, v, -3.1623929e-3f);
    q = mul_add(q, v, 3.866125e-3f);
    q = mul_add(q, v, -8.328417e-3f);
    q = mul_add(q, v, 8.3333254e-2f);
    let of_h_l = math_ln_pair(z);
    var h = of_h_l.h;
    var l = of_h_l.l;
    h = select(z, h, z < math_infinity());
    l = l - mul_add(w, 0.5f, v * q);
    return Two(select(h, near, z < 2.0f), select(l, 0.0f, z < 2.0f));
}

// `d/dx ln Gamma(x)` for `x >= 0` (`-inf` at 0), NaN below: the bits of `digamma` at half its cost.
fn math_digamma_positive(x: f32) -> f32 {
    let step = x < 1.0f;
    let of_h_l = math_digamma_from_one(select(x, 1.0f + x, step));
    let h = of_h_l.h;
    let l = of_h_l.l;
    let y = (h + l) - select(0.0f, quotient(1.0f, x), step);
    return select(y, math_not_a_number(), x < 0.0f);
}

// `d/dx ln Gamma(x)`; `-inf` at 0, `inf` at -0, NaN at the negative integers.
fn math_digamma(x: f32) -> f32 {
    let reflect = x < 0.0f;
    let step = x < 1.0f;
    let z = select(x, -x, reflect);
    let of_h_l = math_digamma_from_one(select(z, 1.0f + z, step));
    let h = of_h_l.h;
    let l = of_h_l.l;
    let above = (h + l) - select(0.0f, quotient(1.0f, x), step);
    if (!reflect) {
        return above;
    }
    // Minus pi cot(pi x) below 0, whose rounding errors are taken back
    // because the two terms cancel around the zeros.
    let of_p_falling = math_sincos_pi_abs(-x);
    let p = of_p_falling.p;
    let falling = of_p_falling.falling;
    let cot = quotient(p.c, p.s);
    let cot_rest = quotient(mul_add(cot, -p.s_rest, mul_add(cot, -p.s, p.c)) + p.c_rest, p.s);
    let t = PI * cot;
    let t_rest = mul_add(PI, cot, -t) + mul_add(PI, cot_rest, cot * -8.742278e-8f);
    let sign = select(1.0f, -1.0f, falling);
    // 1/tiny overflows; there the rest is not a number and not needed.
    let below = select(sign * t, mul_add(sign, t, h) + mul_add(sign, t_rest, l), t < 1e30f);
    return select(below, math_not_a_number(), p.s == 0.0f);
}

// `d^2/dx^2 ln Gamma(x)`; infinite at 0 and the negative integers, NaN at `-inf`.
fn math_trigamma(x: f32) -> f32 {
    let reflect = x < 0.0f;
    let z = select(x, 1.0f - x, reflect);
    // trigamma(z) = 1/z^2 + trigamma(z + 1), until z >= 2
    let once = z < 2.0f;
    let twice = z < 1.0f;
    let next = select(z, z + 1.0f, once);
    let i = select(0.0f, quotient(1.0f, z), once);
    let j = select(0.0f, quotient(1.0f, next), twice);
    let w = quotient(1.0f, select(next, next + 1.0f, twice));
    let v = w * w;
    var p = -2.7193861e-2f;
    p = mul_add(p, v, 3.6706157e-2f);
    p = mul_add(p, v, -2.8680524e-2f);
    p = mul_add(p, v, 2.348604e-2f);
    p = mul_add(p, v, -3.3322297e-2f);
    p = mul_add(p, v, 1.6666654e-1f);
    let y = mul_add(i, i, mul_add(j, j, mul_add(w, v * p, mul_add(v, 0.5f, w))));
    if (!reflect) {
        return y;
    }
    let r = quotient(PI, math_sincos_pi_abs(-x).p.s);
    let below = mul_add(r, r, -y);
    return select(below, math_not_a_number(), x == -math_infinity());
}
