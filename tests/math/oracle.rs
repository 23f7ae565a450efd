//! Binary64 forms of functions that the standard library lacks.

pub fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

pub fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

pub fn log_sigmoid(x: f64) -> f64 {
    -softplus(-x)
}

pub fn ndtr(x: f64) -> f64 {
    0.5 * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2)
}

fn is_pole(x: f64) -> bool {
    x <= 0.0 && x == x.floor()
}

/// Recurrence up to 16, then the asymptotic series; reflection below 0.
pub fn digamma(x: f64) -> f64 {
    if x == 0.0 {
        return -1.0 / x;
    }
    if is_pole(x) {
        return f64::NAN;
    }
    if x < 0.0 {
        return digamma(1.0 - x) - std::f64::consts::PI / tan_pi(x);
    }
    let (mut z, mut shift) = (x, 0.0);
    while z < 16.0 {
        shift += 1.0 / z;
        z += 1.0;
    }
    let v = 1.0 / (z * z);
    let series = v * (1.0 / 12.0 - v * (1.0 / 120.0 - v * (1.0 / 252.0 - v * (1.0 / 240.0 - v * (1.0 / 132.0)))));
    (z.ln() - 0.5 / z - series) - shift
}

pub fn trigamma(x: f64) -> f64 {
    if x == f64::NEG_INFINITY {
        return f64::NAN;
    }
    if is_pole(x) {
        return f64::INFINITY;
    }
    if x < 0.0 {
        let s = sin_pi(x) / std::f64::consts::PI;
        return 1.0 / (s * s) - trigamma(1.0 - x);
    }
    let (mut z, mut shift) = (x, 0.0);
    while z < 16.0 {
        shift += 1.0 / (z * z);
        z += 1.0;
    }
    let v = 1.0 / (z * z);
    let series = v / z * (1.0 / 6.0 - v * (1.0 / 30.0 - v * (1.0 / 42.0 - v * (1.0 / 30.0 - v * (5.0 / 66.0)))));
    1.0 / z + v / 2.0 + series + shift
}

fn sin_pi(x: f64) -> f64 {
    let r = x - x.round();
    (std::f64::consts::PI * r).sin().abs()
}

fn tan_pi(x: f64) -> f64 {
    (std::f64::consts::PI * (x - x.round())).tan()
}
