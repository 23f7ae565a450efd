//! Log-probabilities, entropies and divergences, composed of tensor ops and so differentiable twice.
//! Elementwise with broadcasting unless said otherwise; natural logarithms.

use super::loss;
use crate::error::Result;
use crate::tensor::Tensor;
use crate::tensor::op::Zinb;

/// `ln √(2π)`
const HALF_LN_TAU: f32 = 0.918_938_5;

/// `ln N(x; mean, sd²)`.
pub fn normal_log_prob(x: &Tensor, mean: &Tensor, sd: &Tensor) -> Result<Tensor> {
    let z = x.sub(mean)?.div(sd)?;
    z.square()?.mul_scalar(-0.5)?.sub(&sd.ln()?)?.add_scalar(-HALF_LN_TAU)
}

/// `ln` density at x of `exp(N(mean, sd²))`.
pub fn lognormal_log_prob(x: &Tensor, mean: &Tensor, sd: &Tensor) -> Result<Tensor> {
    let log = x.ln()?;
    normal_log_prob(&log, mean, sd)?.sub(&log)
}

/// `KL(N(m1, s1²) || N(m2, s2²))`; also of the log-normals with these parameters.
pub fn normal_kl(m1: &Tensor, s1: &Tensor, m2: &Tensor, s2: &Tensor) -> Result<Tensor> {
    let ratio = s1.div(s2)?;
    let distance = m1.sub(m2)?.div(s2)?;
    // ratio² - 1 - 2 ln ratio by way of ratio - 1, so that the terms cancel gracefully near ratio 1.
    let off = ratio.add_scalar(-1.0)?;
    let spread = off.mul(&ratio.add_scalar(1.0)?)?.sub(&off.log1p()?.mul_scalar(2.0)?)?;
    spread.add(&distance.square()?)?.mul_scalar(0.5)
}

/// `KL(N(mean, sd²) || N(0, 1))` summed over the last axis.
pub fn standard_normal_kl(mean: &Tensor, sd: &Tensor) -> Result<Tensor> {
    let zero = Tensor::scalar(0.0, mean.device())?;
    let one = Tensor::scalar(1.0, mean.device())?;
    normal_kl(mean, sd, &zero, &one)?.sum(&[mean.rank() - 1], false)
}

/// `ln Poisson(x; rate)`.
pub fn poisson_log_prob(x: &Tensor, rate: &Tensor) -> Result<Tensor> {
    x.mul(&rate.ln()?)?.sub(rate)?.sub(&x.add_scalar(1.0)?.lgamma()?)
}

/// `ln Bernoulli(x; sigmoid(logits))`, x in [0, 1].
pub fn bernoulli_log_prob(x: &Tensor, logits: &Tensor) -> Result<Tensor> {
    loss::bce_with_logits(logits, x)?.neg()
}

/// `ln softmax(logits)_x` per row: x u32 `[rows]`, logits `[rows, classes]`.
pub fn categorical_log_prob(x: &Tensor, logits: &Tensor) -> Result<Tensor> {
    let rows = logits.size(0);
    logits.log_softmax()?.gather(1, &x.reshape(&[rows, 1])?)?.reshape(&[rows])
}

/// `KL(softmax(p) || softmax(q))` of logits per row, `[rows, classes] -> [rows]`.
pub fn categorical_kl(p: &Tensor, q: &Tensor) -> Result<Tensor> {
    p.softmax()?.mul(&p.log_softmax()?.sub(&q.log_softmax()?)?)?.sum(&[p.rank() - 1], false)
}

/// `ln Gamma(x; shape a, rate)`.
pub fn gamma_log_prob(x: &Tensor, a: &Tensor, rate: &Tensor) -> Result<Tensor> {
    let power = a.add_scalar(-1.0)?.mul(&x.ln()?)?;
    a.mul(&rate.ln()?)?.add(&power)?.sub(&rate.mul(x)?)?.sub(&a.lgamma()?)
}

/// `ln Beta(x; a, b)`.
pub fn beta_log_prob(x: &Tensor, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let low = a.add_scalar(-1.0)?.mul(&x.ln()?)?;
    let high = b.add_scalar(-1.0)?.mul(&x.neg()?.log1p()?)?;
    let norm = a.lgamma()?.add(&b.lgamma()?)?.sub(&a.add(b)?.lgamma()?)?;
    low.add(&high)?.sub(&norm)
}

/// `ln Dirichlet(x; a)` per row, `[rows, n] -> [rows]`.
pub fn dirichlet_log_prob(x: &Tensor, a: &Tensor) -> Result<Tensor> {
    let last = [a.rank() - 1];
    let powers = a.add_scalar(-1.0)?.mul(&x.ln()?)?.sum(&last, false)?;
    powers.add(&a.sum(&last, false)?.lgamma()?)?.sub(&a.lgamma()?.sum(&last, false)?)
}

/// `ln Multinomial(x; softmax(logits))` per row of counts, `[rows, n] -> [rows]`.
pub fn multinomial_log_prob(x: &Tensor, logits: &Tensor) -> Result<Tensor> {
    let last = [x.rank() - 1];
    let total = x.sum(&last, false)?.add_scalar(1.0)?.lgamma()?;
    let ways = total.sub(&x.add_scalar(1.0)?.lgamma()?.sum(&last, false)?)?;
    ways.add(&x.mul(&logits.log_softmax()?)?.sum(&last, false)?)
}

/// Log-probability of counts x `[rows, genes]` per row under a negative binomial with mean mu
/// `[rows, genes]` and inverse dispersion theta `[genes]`; with `zero_logits` `[rows, genes]`
/// zero-inflated (Lopez et al. 2018). See [`Zinb`] for the logarithmic parameters of the fused kernel.
pub fn counts_log_prob(x: &Tensor, mu: &Tensor, theta: &Tensor, zero_logits: Option<&Tensor>) -> Result<Tensor> {
    let (m, r) = (mu.ln()?, theta.ln()?);
    let zinb = Zinb { inflated: zero_logits.is_some(), segmented: false };
    match zero_logits {
        Some(h) => x.zinb(zinb, &[&m, &r, h]),
        None => x.zinb(zinb, &[&m, &r]),
    }
}
