// Log-probabilities of counts and their derivatives in binary32, without the cancellation of the
// textbook forms. Mirror of src/math/counts.rs, where the formulas are derived.

// `ln p` and its derivatives with respect to m, r and h.
struct LogProbability {
    value: f32,
    m: f32,
    r: f32,
    h: f32,
}

const TWO_TO_MINUS_64: f32 = 5.4210109e-20f;
// `LN2_HI / 2^23`: takes an exponent that still stands 23 bits to the left.
const LN2_SHIFTED: f32 = LN2_HI * 1.1920929e-7f;

// `z E(z)` with `E` the `stirling_error` and `w = 1/z` in `[0, 1]`.
fn math_stirling_scaled(w: f32) -> f32 {
    var p = 1.3149809e-4f;
    p = mul_add(p, w, -6.1159872e-4f);
    p = mul_add(p, w, 1.02236168e-3f);
    p = mul_add(p, w, -3.7557282e-5f);
    p = mul_add(p, w, -2.776799e-3f);
    p = mul_add(p, w, 2.2782881e-7f);
    return mul_add(p, w, 8.3333336e-2f);
}

// `digamma(z) - ln z` for `w = 1/z` in `[0, 1]`.
fn math_digamma_rest(w: f32) -> f32 {
    var p = -5.9371215e-4f;
    p = mul_add(p, w, 2.5541449e-3f);
    p = mul_add(p, w, -3.6079178e-3f);
    p = mul_add(p, w, -8.634348e-4f);
    p = mul_add(p, w, 8.685229e-3f);
    p = mul_add(p, w, -6.0331113e-5f);
    p = mul_add(p, w, -8.332965e-2f);
    return mul_add(p, w, -0.5f) * w;
}

// What Stirling's formula lacks: `lgamma(z) - [(z - 1/2) ln z - z + ln(2 pi)/2]`, for `z > 0`.
fn math_stirling_error(z: f32) -> f32 {
    let small = z < 1.0f;
    let step = mul_add(z + 0.5f, math_log1p(quotient(1.0f, z)), -1.0f);
    let w = quotient(1.0f, select(z, z + 1.0f, small));
    return mul_add(w, math_stirling_scaled(w), select(0.0f, step, small));
}

// What the count formulas need of one gene's inverse dispersion `theta = e^r`.
struct Dispersion {
    theta: f32,
    inverse: f32,
    error: f32,
    inverse_next: f32,
    digamma_next: f32,
}
fn math_dispersion(r: f32) -> Dispersion {
    let theta = math_exp(r);
    let inverse_next = quotient(1.0f, 1.0f + theta);
    return Dispersion(
        theta,
        quotient(1.0f, theta),
        math_stirling_error(theta),
        inverse_next,
        math_digamma_rest(inverse_next),
    );
}

// `x = n ln 2 + r` as `2^(n + up)` and r; NaN stays in r.
struct Shifted {
    power: f32,
    r: f32,
}
fn math_reduce_to(x: f32, up: f32) -> Shifted {
    let k = mul_add(x, LOG2_E, ROUND + up);
    let n = k - (ROUND + up);
    return Shifted(
        bitcast<f32>(bitcast<u32>(1.0f) + (bitcast<u32>(k) << 23)),
        mul_add(n, -LN2_LO, mul_add(n, -LN2_HI, x)),
    );
}

// `e^x` for x in [-87, 88].
fn math_exp_normal(x: f32) -> f32 {
    let of_power_r = math_reduce_to(x, 0.0f);
    let power = of_power_r.power;
    let r = of_power_r.r;
    return (1.0f + mul_add(r * r, math_exp_second_order(r), r)) * power;
}

// `x` not below `low`, not above `high`; NaN stays.
fn math_at_least(x: f32, low: f32) -> f32 { return select(x, low, x < low); }
fn math_at_most(x: f32, high: f32) -> f32 { return select(x, high, x > high); }

// `e^x` for `x <= 0`, down to 0 through the subnormals.
fn math_exp_low(x: f32) -> f32 {
    let of_high_r = math_reduce_to(math_at_least(x, -105.0f), 64.0f);
    let high = of_high_r.power;
    let r = of_high_r.r;
    return (1.0f + mul_add(r * r, math_exp_second_order(r), r)) * high * TWO_TO_MINUS_64;
}

// `[e^x, e^x - 1]` for `x <= 0`.
struct Exponentials {
    e: f32,
    less_one: f32,
}
fn math_exp_and_expm1(x: f32) -> Exponentials {
    let of_high_r = math_reduce_to(math_at_least(x, -105.0f), 64.0f);
    let high = of_high_r.power;
    let r = of_high_r.r;
    let p = mul_add(r * r, math_exp_second_order(r), r);
    let t = high * TWO_TO_MINUS_64;
    return Exponentials(mul_add(high, p, high) * TWO_TO_MINUS_64, mul_add(t, p, t - 1.0f));
}

// `ln(1 + x)` for `x > -1`.
fn math_log1p_above(x: f32) -> f32 {
    let u = 1.0f + x;
    let e = (bitcast<u32>(u) - THREE_QUARTERS) & 0xff800000u;
    let scaled = bitcast<f32>(bitcast<u32>(x) - e);
    let four = bitcast<f32>(bitcast<u32>(4.0f) - e);
    let f = scaled + mul_add(four, 0.25f, -1.0f);
    let y = mul_add(f32(i32(e)), LN2_SHIFTED, math_log1p_reduced(f));
    return select(x, y, x < math_infinity());
}

// What the formulas need of the mean: mu, `mu / theta` (at most 1e38), `sp(m - r)`.
struct Mean {
    mu: f32,
    ratio: f32,
    log_ratio: f32,
}
fn math_mean(m: f32, r: f32, inverse: f32) -> Mean {
    let d = m - r;
    let mu = math_exp_normal(math_at_least(math_at_most(m, 88.0f), -87.0f));
    let ratio = math_at_most(mu * inverse, 1e38f);
    let log_ratio = math_log1p_above(ratio);
    return Mean(mu, ratio, select(log_ratio, d, d > 80.0f));
}

// Log-probability of a count 0.
fn math_nb_zero(mean: Mean, theta: f32) -> LogProbability {
    let y = theta * mean.log_ratio;
    let q = theta * quotient(mean.ratio, 1.0f + mean.ratio);
    return LogProbability(-y, -q, q - y, 0.0f);
}

// A count 0 with zero inflation, for `y = theta sp(d)`.
struct ZeroMixture {
    change: f32,
    near: bool,
    both: f32,
    a: f32,
    b: f32,
    fall: f32,
    on: f32,
    off: f32,
    inverse: f32,
}
fn math_zero_mixture(y: f32, h: f32) -> ZeroMixture {
    let both = h + y;
    let near = y < 1.0f;
    let a = math_exp_low(-math_abs(h));
    let of_b_fall = math_exp_and_expm1(select(-math_abs(both), -y, near));
    let b = of_b_fall.e;
    let fall = of_b_fall.less_one;
    let inflated = h >= 0.0f;
    let on = select(a, 1.0f, inflated);
    let off = select(1.0f, a, inflated);
    let inverse = quotient(1.0f, 1.0f + a);
    let change = select(b - a, off * fall, near) * inverse;
    return ZeroMixture(change, near, both, a, b, fall, on, off, inverse);
}

// `ln p` from `change`.
fn math_zero_value(y: f32, h: f32, change: f32) -> f32 {
    let outside = math_at_most(select(-y, h, h > -y), 0.0f);
    return select(outside, 0.0f, y < 1.0f) + math_log1p_above(change);
}

// The derivatives; no value.
fn math_zero_slopes(z: ZeroMixture, ratio: f32, y: f32, theta: f32) -> LogProbability {
    let above = 1.0f + ratio;
    let below = 1.0f + select(z.b, z.change, z.near);
    let share = quotient(1.0f, above * below);
    let q = theta * (ratio * (below * share));
    let rest = above * share;
    let sampled = z.both >= 0.0f;
    let yes = select(1.0f, z.b, sampled);
    let no = select(z.b, 1.0f, sampled);
    let s = select(yes, (z.off * z.inverse) * z.b, z.near) * rest;
    let gain = select(mul_add(z.off, no, -(yes * z.on)), -((z.a * z.inverse) * z.fall), z.near);
    return LogProbability(0.0f, -(s * q), s * (q - y), gain * (z.inverse * rest));
}

// Log-probability of a count 0 with zero inflation.
fn math_zinb_zero(mean: Mean, theta: f32, h: f32) -> LogProbability {
    let y = theta * mean.log_ratio;
    let mixture = math_zero_mixture(y, h);
    let slopes = math_zero_slopes(mixture, mean.ratio, y, theta);
    return LogProbability(math_zero_value(y, h, mixture.change), slopes.m, slopes.r, slopes.h);
}

// Deviance part `y ln(y / m) - e` with `e = y - m` known without cancellation.
fn math_deviance(y: f32, m: f32, e: f32) -> f32 {
    let sum = y + m;
    let close = math_abs(e) < 0.25f * sum;
    let v = quotient(select(y, e, close), select(m, sum, close));
    let u = v * v;
    var s = 7.692308e-2f;
    s = mul_add(s, u, 9.090909e-2f);
    s = mul_add(s, u, 1.1111111e-1f);
    s = mul_add(s, u, 1.4285715e-1f);
    s = mul_add(s, u, 0.2f);
    s = mul_add(s, u, 3.3333334e-1f);
    let near = mul_add(e, v, (y + y) * v * (s * u));
    let far = mul_add(y, math_ln(v), -e);
    return select(far, near, close);
}

// Log-probability of a count `x >= 1`.
fn math_count_value(x: f32, mean: Mean, t: Dispersion) -> f32 {
    let n = x + t.theta;
    let k = quotient(1.0f, 1.0f + mean.ratio);
    let excess = k * (x - mean.mu);
    let w = quotient(1.0f, n);
    let v = quotient(1.0f, x);
    let errors = mul_add(w, math_stirling_scaled(w), -(v * math_stirling_scaled(v))) - t.error;
    let deviances = math_deviance(x, n * (mean.ratio * k), excess) + math_deviance(t.theta, n * k, -excess);
    let scale = mul_add(0.5f, math_ln(x) + math_log1p(x * t.inverse), HALF_LN_TWO_PI);
    return (errors - deviances) - scale;
}

// The derivatives with respect to m and r; no value.
fn math_count_slopes(x: f32, mean: Mean, t: Dispersion) -> LogProbability {
    let excess = quotient(1.0f, 1.0f + mean.ratio) * (x - mean.mu);
    let later = math_digamma_rest(quotient(1.0f, x + t.theta)) - t.digamma_next;
    let further = math_log1p((x - 1.0f) * t.inverse_next) + later;
    let rise = t.inverse + further;
    return LogProbability(0.0f, excess, mul_add(t.theta, rise - mean.log_ratio, -excess), 0.0f);
}

// Log-probability of a count `x >= 1`, with its derivatives.
fn math_nb_count(x: f32, mean: Mean, t: Dispersion) -> LogProbability {
    let slopes = math_count_slopes(x, mean, t);
    return LogProbability(math_count_value(x, mean, t), slopes.m, slopes.r, 0.0f);
}

// `[sp(h), sg(h)]`
struct Inflation {
    loss: f32,
    share: f32,
}
fn math_inflation(h: f32) -> Inflation {
    let a = math_exp_low(-math_abs(h));
    let above = h >= 0.0f;
    return Inflation(select(0.0f, h, above) + math_log1p_above(a), quotient(select(a, 1.0f, above), 1.0f + a));
}

// `nb_count` with zero inflation.
fn math_zinb_count(x: f32, mean: Mean, t: Dispersion, h: f32) -> LogProbability {
    let nb = math_nb_count(x, mean, t);
    let of_loss_share = math_inflation(h);
    let loss = of_loss_share.loss;
    let share = of_loss_share.share;
    return LogProbability(nb.value - loss, nb.m, nb.r, -share);
}
