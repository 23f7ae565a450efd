//! Activations: one definition for every backend.

use super::exp::{exp, expm1};
use super::log::log1p;
use super::{select, with_sign};

/// Hyperbolic tangent.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    let a = x.abs();
    let v = a * a;
    let p = -6.295_665e-3_f32;
    let p = p.mul_add(v, 2.108_831_1e-2);
    let p = p.mul_add(v, -5.385_685e-2);
    let p = p.mul_add(v, 1.333_263_7e-1);
    let p = p.mul_add(v, -3.333_332e-1);
    let small = (a * v).mul_add(p, a);
    let large = 1.0 - 2.0 / (exp(a + a) + 1.0);
    with_sign(select(a < 0.55, small, large), x)
}

/// Logistic function `1 / (1 + e^-x)`.
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    let e = exp(-x.abs());
    let above = x >= 0.0;
    let top = select(above, 1.0, e);
    let d = 1.0 + e;
    let q = top / d;
    // What rounding `d` and `q` left over, divided by d: 1/d is q above 0 and 1 - q below.
    let lost = e - (d - 1.0);
    let rest = q.mul_add(-lost, q.mul_add(-d, top));
    rest.mul_add(select(above, q, 1.0 - q), q)
}

/// `ln(1 + e^x)`, without overflow and without cancellation.
#[inline(always)]
pub fn softplus(x: f32) -> f32 {
    let linear = select(x > 0.0, x, 0.0);
    linear + log1p(exp(-x.abs()))
}

/// `ln sigmoid(x) = -softplus(-x)`.
#[inline(always)]
pub fn log_sigmoid(x: f32) -> f32 {
    -softplus(-x)
}

/// `max(x, 0)`; NaN stays NaN, -0 becomes 0.
#[inline(always)]
pub fn relu(x: f32) -> f32 {
    select(x <= 0.0, 0.0, x)
}

/// `x` above 0, `slope * x` elsewhere.
#[inline(always)]
pub fn leaky_relu(x: f32, slope: f32) -> f32 {
    select(x > 0.0, x, slope * x)
}

/// `x` above 0, `alpha * (e^x - 1)` elsewhere.
#[inline(always)]
pub fn elu(x: f32, alpha: f32) -> f32 {
    let below = alpha * expm1(x);
    select(x > 0.0, x, below)
}
