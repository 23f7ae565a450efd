// The error function, its complement and the normal distribution function.

const FRAC_1_SQRT_2: f32 = 0.707106781f;
const FRAC_2_SQRT_PI: f32 = 1.12837917f;

// `erf a` for 0 <= a <= 1.
fn math_erf_small(a: f32) -> f32 {
    let v = a * a;
    var p = 7.920368e-5f;
    p = mul_add(p, v, -8.0307614e-4f);
    p = mul_add(p, v, 5.190734e-3f);
    p = mul_add(p, v, -2.6855126e-2f);
    p = mul_add(p, v, 1.1283618e-1f);
    p = mul_add(p, v, -3.761263e-1f);
    p = mul_add(p, v, 1.2837917e-1f);
    return mul_add(a, p, a);
}

// Error function `2/sqrt(pi) * integral of e^-t^2 from 0 to x`.
fn math_erf(x: f32) -> f32 {
    let a = math_abs(x);
    let small = math_erf_small(a);
    // -ln erfc on [1, 4]; erf(4) rounds to 1.
    let b = select(a, 4.0f, a > 4.0f);
    var q = 2.1684093e-5f;
    q = mul_add(q, b, -4.4130758e-4f);
    q = mul_add(q, b, 4.2044376e-3f);
    q = mul_add(q, b, -2.5207974e-2f);
    q = mul_add(q, b, 1.0841822e-1f);
    q = mul_add(q, b, 6.3322014e-1f);
    q = mul_add(q, b, 1.1295784f);
    q = mul_add(q, b, -1.8803705e-4f);
    let large = 1.0f - math_exp(-q);
    return math_with_sign(select(large, small, a < 1.0f), x);
}

// `erfc(h + l) * 2^shift` for `h >= 0` and a correction |l| <= ulp(h); rounded once into the subnormals.
//
// `erfc(x) = e^(-x^2) G / (1 + 2x)` with `G` a polynomial in `q = (x-2)/(x+2)`. The rounding errors
// of q, 1 + 2x, the quotient and x^2 are carried along, since each costs half an ulp or (the
// square) much more.
fn math_erfc_positive(h_: f32, l_: f32, shift: i32) -> f32 {
    var h = h_;
    var l = l_;
    l = select(l, 0.0f, h > 10.3f);
    h = select(h, 10.3f, h > 10.3f);
    let r = quotient(1.0f, h + 2.0f);
    var q = mul_add(r, -4.0f, 1.0f);
    q = mul_add(r, mul_add(q, -h, mul_add(q + 1.0f, -2.0f, h)), q);
    var p = 1.1176009e-4f;
    p = mul_add(p, q, 2.1114771e-4f);
    p = mul_add(p, q, -4.4713248e-4f);
    p = mul_add(p, q, -1.4880399e-3f);
    p = mul_add(p, q, 1.2748041e-3f);
    p = mul_add(p, q, 8.7466715e-3f);
    p = mul_add(p, q, -8.035019e-3f);
    p = mul_add(p, q, -5.4226425e-2f);
    p = mul_add(p, q, 1.6405132e-1f);
    p = mul_add(p, q, -1.6602983e-1f);
    p = mul_add(p, q, -9.2763826e-2f);
    let top = mul_add(p, q, 1.2769784f);
    let top_rest = mul_add(p, q, 1.2769784f - top);
    // 1 + 2(h + l) = d + lost
    let b = h + h;
    let d = 1.0f + b;
    let t = d - 1.0f;
    let lost = (1.0f - (d - t)) + ((b - t) + (l + l));
    let g = quotient(top, d);
    let g_rest = quotient(mul_add(g, -lost, mul_add(g, -d, top)) + top_rest, d);
    // (h + l)^2 = s + s_rest
    let s = h * h;
    let s_rest = mul_add(b, l, mul_add(h, h, -s));
    let of_n_y_y_rest = math_reduce_pair(-s, -s_rest);
    let n = of_n_y_y_rest.n;
    let y = of_n_y_y_rest.r;
    let y_rest = of_n_y_y_rest.r_rest;
    let small = mul_add(y * y, math_exp_second_order(y), y_rest);
    let far = math_scale(g + mul_add(g, y, mul_add(g, small, g_rest)), n + shift);
    // erf(h + l) = erf h + 2/sqrt(pi) e^-s l
    let slope = mul_add(s, mul_add(s, 0.5f * FRAC_2_SQRT_PI, -FRAC_2_SQRT_PI), FRAC_2_SQRT_PI);
    let near = mul_add(l, -slope, 1.0f - math_erf_small(h));
    return select(far, near * math_power_of_two(shift), h < 0.75f);
}

// `1 - erf(x)` without cancellation in the upper tail.
fn math_erfc(x: f32) -> f32 {
    let tail = math_erfc_positive(math_abs(x), 0.0f, 0);
    return select(tail, 2.0f - tail, x < 0.0f);
}

// Standard normal distribution function, right into the lower tail.
fn math_ndtr(x: f32) -> f32 {
    // |x| / sqrt 2 = h + l; sqrt(1/2) = 0.70710677 + 1.2101617e-8
    var a = math_abs(x);
    a = select(a, 15.0f, a > 15.0f);
    let h = a * FRAC_1_SQRT_2;
    let l = mul_add(a, 1.2101617e-8f, mul_add(a, FRAC_1_SQRT_2, -h));
    let tail = math_erfc_positive(h, l, -1);
    return select(tail, 1.0f - tail, x > 0.0f);
}
