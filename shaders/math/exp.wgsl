// Exponentials: reduce to |r| <= ln(2)/2, a polynomial there, scale by a power of two.
//
// Coefficients are minimax fits whose leading terms were rounded to binary32 before the next ones
// were fitted.

const LOG2_E: f32 = 1.44269504f;
// ln 2 = `LN2_HI` + `LN2_LO`; the high part is the nearest binary32.
const LN2_HI: f32 = 0.693147181f;
const LN2_LO: f32 = -1.9046543e-9f;

// `p * 2^n` for `-252 <= n <= 254`, rounded once at the most.
fn math_scale(p: f32, n: i32) -> f32 {
    let half = n >> 1;
    return p * math_power_of_two(half) * math_power_of_two(n - half);
}

// Splits `x = n ln 2 + r`; needs |x| < 2^21.
struct Reduced {
    n: i32,
    r: f32,
    r_rest: f32,
}
fn math_reduce(x: f32) -> Reduced {
    let k = mul_add(x, LOG2_E, ROUND);
    let n = k - ROUND;
    let r = mul_add(n, -LN2_LO, mul_add(n, -LN2_HI, x));
    return Reduced(i32(bitcast<u32>(k) - bitcast<u32>(ROUND)), r, 0.0f);
}

// Splits `x + rest = n ln 2 + r + r_rest`, for a `rest` of a few ulp of x.
fn math_reduce_pair(x: f32, rest: f32) -> Reduced {
    let k = mul_add(x, LOG2_E, ROUND);
    let n = k - ROUND;
    let a = mul_add(n, -LN2_HI, x);
    let b = mul_add(n, -LN2_LO, rest);
    let r = a + b;
    return Reduced(i32(bitcast<u32>(k) - bitcast<u32>(ROUND)), r, (a - r) + b);
}

// `(e^r - 1 - r) / r^2` for |r| <= 0.3475.
fn math_exp_second_order(r: f32) -> f32 {
    var p = 1.394222e-3f;
    p = mul_add(p, r, 8.368861e-3f);
    p = mul_add(p, r, 4.1666385e-2f);
    p = mul_add(p, r, 1.666652e-1f);
    return mul_add(p, r, 0.5f);
}

// `e^r - 1` for |r| <= 0.3475, absolute error 3.3e-9 before rounding.
fn math_expm1_reduced(r: f32) -> f32 {
    return mul_add(r * r, math_exp_second_order(r), r);
}

// `e^x`. Overflows to infinity above 88.72, reaches 0 below -103.97.
fn math_exp(x: f32) -> f32 {
    var c = select(x, 89.0f, x > 89.0f);
    c = select(c, -105.0f, c < -105.0f);
    let of_n_r = math_reduce(c);
    let n = of_n_r.n;
    let r = of_n_r.r;
    return math_scale(1.0f + math_expm1_reduced(r), n);
}

// `2^(x + rest) = p 2^n` for |x| < 2^21 and a `rest` of a few ulp of x. Returns `(p, n)`.
struct Power {
    p: f32,
    n: i32,
}
fn math_exp2_parts(x: f32, rest: f32) -> Power {
    let k = x + ROUND;
    let r = (x - (k - ROUND)) + rest;
    let n = i32(bitcast<u32>(k) - bitcast<u32>(ROUND));
    var p = 1.5323516e-5f;
    p = mul_add(p, r, 1.5455976e-4f);
    p = mul_add(p, r, 1.3333403e-3f);
    p = mul_add(p, r, 9.618078e-3f);
    p = mul_add(p, r, 5.550411e-2f);
    p = mul_add(p, r, 2.402265e-1f);
    p = mul_add(p, r, LN2_LO);
    return Power(1.0f + mul_add(LN2_HI, r, r * p), n);
}

// `2^x`, exact for integers.
fn math_exp2(x: f32) -> f32 {
    var c = select(x, 129.0f, x > 129.0f);
    c = select(c, -151.0f, c < -151.0f);
    let of_p_n = math_exp2_parts(c, 0.0f);
    let p = of_p_n.p;
    let n = of_p_n.n;
    return math_scale(p, n);
}

// `e^x - 1` without cancellation near 0; keeps the sign of zero.
fn math_expm1(x: f32) -> f32 {
    var c = select(x, 89.0f, x > 89.0f);
    c = select(c, -18.0f, c < -18.0f);
    let of_n_r = math_reduce(c);
    let n = of_n_r.n;
    let r = of_n_r.r;
    var p = 1.9944271e-4f;
    p = mul_add(p, r, 1.3932723e-3f);
    p = mul_add(p, r, 8.333208e-3f);
    p = mul_add(p, r, 4.166649e-2f);
    p = mul_add(p, r, 1.6666667e-1f);
    p = mul_add(p, r, 0.5f);
    p = mul_add(r * r, p, r);
    // Half of 2^n, because 2^128 is not a number while its product with p may be.
    let t = math_power_of_two(n - 1);
    let y = mul_add(t, p, t - 0.5f);
    return math_with_sign(y + y, x);
}
