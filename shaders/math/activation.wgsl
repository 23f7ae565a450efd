// Activations: one definition for every backend.

// Hyperbolic tangent.
fn math_tanh(x: f32) -> f32 {
    let a = math_abs(x);
    let v = a * a;
    var p = -6.295665e-3f;
    p = mul_add(p, v, 2.1088311e-2f);
    p = mul_add(p, v, -5.385685e-2f);
    p = mul_add(p, v, 1.3332637e-1f);
    p = mul_add(p, v, -3.333332e-1f);
    let small = mul_add(a * v, p, a);
    let large = 1.0f - quotient(2.0f, math_exp(a + a) + 1.0f);
    return math_with_sign(select(large, small, a < 0.55f), x);
}

// Logistic function `1 / (1 + e^-x)`.
fn math_sigmoid(x: f32) -> f32 {
    let e = math_exp(-math_abs(x));
    let above = x >= 0.0f;
    let top = select(e, 1.0f, above);
    let d = 1.0f + e;
    let q = quotient(top, d);
    // What rounding `d` and `q` left over, divided by d: 1/d is q above 0 and 1 - q below.
    let lost = e - (d - 1.0f);
    let rest = mul_add(q, -lost, mul_add(q, -d, top));
    return mul_add(rest, select(1.0f - q, q, above), q);
}

// `ln(1 + e^x)`, without overflow and without cancellation.
fn math_softplus(x: f32) -> f32 {
    let linear = select(0.0f, x, x > 0.0f);
    return linear + math_log1p(math_exp(-math_abs(x)));
}

// `ln sigmoid(x) = -softplus(-x)`.
fn math_log_sigmoid(x: f32) -> f32 {
    return -math_softplus(-x);
}

// `max(x, 0)`; NaN stays NaN, -0 becomes 0.
fn math_relu(x: f32) -> f32 {
    return select(x, 0.0f, x <= 0.0f);
}

// `x` above 0, `slope * x` elsewhere.
fn math_leaky_relu(x: f32, slope: f32) -> f32 {
    return select(slope * x, x, x > 0.0f);
}

// `x` above 0, `alpha * (e^x - 1)` elsewhere.
fn math_elu(x: f32, alpha: f32) -> f32 {
    let below = alpha * math_expm1(x);
    return select(below, x, x > 0.0f);
}
