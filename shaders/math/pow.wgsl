// Powers, through a base-2 logarithm carried as an unevaluated sum of two binary32 numbers.

// `log2(a) = h + l` to about 2^-40 relatively, for finite a > 0.
//
// `ln(1 + f) = 2 atanh(q)`, `q = f / (2 + f)`.
fn math_log2_pair(a: f32) -> Two {
    let of_e_f = math_split(a);
    let e = of_e_f.e;
    let f = of_e_f.f;
    // 2 + f = d + d_rest, f / (2 + f) = q + q_rest
    let d = 2.0f + f;
    let d_rest = f - (d - 2.0f);
    let q = quotient(f, d);
    let q_rest = quotient(mul_add(q, -d_rest, mul_add(q, -d, f)), d);
    let s = q * q;
    let s_rest = mul_add(q, q, -s) + 2.0f * q * q_rest;
    // atanh(q)/q - 1 = s u, u = 1/3 + s (1/5 + ...) = u + u_rest; 1/3 = 0.33333334 - 9.934108e-9
    var t = 9.958908e-2f;
    t = mul_add(t, s, 1.10778615e-1f);
    t = mul_add(t, s, 1.4286232e-1f);
    t = mul_add(t, s, 1.9999997e-1f);
    t = s * t;
    let u = 0.33333334f + t;
    let u_rest = ((0.33333334f - u) + t) - 9.934108e-9f;
    let v = s * u;
    let v_rest = mul_add(s, u, -v) + mul_add(s, u_rest, s_rest * u);
    let z = q * v;
    let z_rest = mul_add(q, v, -z) + mul_add(q, v_rest, q_rest * v);
    let h = q + z;
    let l = ((q - h) + z) + (q_rest + z_rest);
    // times 2 log2(e) = 2.88539 + 3.851926e-8
    let p = h * 2.88539f;
    let p_rest = mul_add(h, 2.88539f, -p) + mul_add(h, 3.851926e-8f, l * 2.88539f);
    let y = e + p;
    return Two(y, ((e - y) + p) + p_rest);
}

// `x^y` with the special cases of C99 Annex F.
fn math_pow(x: f32, y: f32) -> f32 {
    let a = math_abs(x);
    let of_h_l = math_log2_pair(a);
    var h = of_h_l.h;
    var l = of_h_l.l;
    let end = a == 0.0f || a == math_infinity();
    let pole = select(math_infinity(), -math_infinity(), a == 0.0f);
    h = select(h, pole, end);
    l = select(l, 0.0f, end);
    let t = y * h;
    let t_rest = mul_add(y, l, mul_add(y, h, -t));
    let beyond = math_abs(t) > 160.0f;
    var bounded = select(t, 160.0f, t > 160.0f);
    bounded = select(bounded, -160.0f, bounded < -160.0f);
    let of_p_n = math_exp2_parts(bounded, select(t_rest, 0.0f, beyond));
    let p = of_p_n.p;
    let n = of_p_n.n;
    var value = math_scale(p, n);

    let b = math_abs(y);
    // Never out of range, NaN included.
    let whole = i32(select(33554432.0f, b, b < 33554432.0f));
    let integer = f32(whole) == b || b >= 33554432.0f;
    let odd = integer && (whole & 1) != 0;
    value = select(value, 1.0f, a == 1.0f && !is_nan(y));
    let sign = select(0u, bitcast<u32>(x) & 0x80000000u, odd);
    value = bitcast<f32>(bitcast<u32>(value) | sign);
    value = select(value, math_not_a_number(), x < 0.0f && a != math_infinity() && !integer);
    value = select(value, math_not_a_number(), is_nan(a) || is_nan(y));
    let trivial = y == 0.0f || x == 1.0f;
    return select(value, 1.0f, trivial);
}
