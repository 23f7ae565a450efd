// Logarithms: split off a power of two so that `1 + f` lies in [3/4, 3/2), then a polynomial in `f`.

const THREE_QUARTERS: u32 = 0x3f400000u;

// `ln(1 + f)` for f in [-1/4, 1/2], relative error 4.8e-9 before rounding.
fn math_log1p_reduced(f: f32) -> f32 {
    var q = -4.6174962e-2f;
    q = mul_add(q, f, 1.05829634e-1f);
    q = mul_add(q, f, -1.3186364e-1f);
    q = mul_add(q, f, 1.4467472e-1f);
    q = mul_add(q, f, -1.6643777e-1f);
    q = mul_add(q, f, 1.9991113e-1f);
    q = mul_add(q, f, -2.5000194e-1f);
    q = mul_add(q, f, 3.3333448e-1f);
    q = mul_add(q, f, -0.5f);
    return mul_add(f * f, q, f);
}

// `x = 2^e (1 + f)` with f in [-1/4, 1/2) for finite `x > 0`, subnormal or not. Returns `(e, f)`.
struct Split {
    e: f32,
    f: f32,
}
fn math_split(x: f32) -> Split {
    let tiny = x < 1.17549435e-38f;
    let scaled = select(x, x * 8388608.0f, tiny);
    let shift = select(0.0f, -23.0f, tiny);
    let bits = bitcast<u32>(scaled);
    let e = (bits - THREE_QUARTERS) & 0xff800000u;
    let f = bitcast<f32>(bits - e) - 1.0f;
    // The exponent still stands 23 bits to the left.
    return Split(mul_add(f32(i32(e)), 1.1920929e-7f, shift), f);
}

// C99 results outside the positive finite numbers, `y` on them.
fn math_with_poles(x: f32, y_: f32) -> f32 {
    var y = y_;
    y = select(x, y, x < math_infinity());
    y = select(y, -math_infinity(), x == 0.0f);
    return select(y, math_not_a_number(), x < 0.0f);
}

// Natural logarithm. `ln(±0) = -inf`, NaN below 0.
fn math_ln(x: f32) -> f32 {
    let of_e_f = math_split(x);
    let e = of_e_f.e;
    let f = of_e_f.f;
    // The nearest binary32 to ln 2 is right to 2.8e-9, so one term is enough.
    return math_with_poles(x, mul_add(e, LN2_HI, math_log1p_reduced(f)));
}

// Base-2 logarithm, exact for powers of two.
fn math_log2(x: f32) -> f32 {
    let of_e_f = math_split(x);
    let e = of_e_f.e;
    let f = of_e_f.f;
    let l = math_log1p_reduced(f);
    // log2(e) = LOG2_E + 1.925963e-8
    return math_with_poles(x, mul_add(l, LOG2_E, mul_add(l, 1.925963e-8f, e)));
}

// `ln(1 + x)` without cancellation near 0; keeps the sign of zero.
fn math_log1p(x: f32) -> f32 {
    let u = 1.0f + x;
    let e = (bitcast<u32>(u) - THREE_QUARTERS) & 0xff800000u;
    // 1 + f = (1 + x) 2^-e, with x 2^-e exact: one rounding.
    let scaled = bitcast<f32>(bitcast<u32>(x) - e);
    let four = bitcast<f32>(bitcast<u32>(4.0f) - e);
    let f = scaled + mul_add(four, 0.25f, -1.0f);
    var y = mul_add(f32(i32(e)) * 1.1920929e-7f, LN2_HI, math_log1p_reduced(f));
    y = select(x, math_with_sign(y, x), x < math_infinity());
    y = select(y, -math_infinity(), x == -1.0f);
    return select(y, math_not_a_number(), x < -1.0f);
}
