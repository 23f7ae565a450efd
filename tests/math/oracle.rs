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
