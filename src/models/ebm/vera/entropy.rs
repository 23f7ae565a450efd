//! The gradient of the generator's entropy, by importance sampling (Grathwohl et al. 2021).

use crate::error::Result;
use crate::nn::distributions::normal_log_prob;
use crate::nn::sampler::normal;
use crate::rng::Stream;
use crate::tensor::{Tensor, no_grad};

/// What samples of the posterior say of a batch.
#[derive(Clone)]
pub struct Pull {
    /// `-d log q(x) / dx` of each cell, `[n, d]`.
    pub c: Tensor,
    /// Effective number of samples `1 / sum w^2`, mean over cells.
    pub effective: Tensor,
}

/// `ln N(x; mean, sd^2)` summed over the last axis.
fn log_normal(x: &Tensor, mean: &Tensor, sd: &Tensor) -> Result<Tensor> {
    normal_log_prob(x, mean, sd)?.sum(&[x.rank().max(mean.rank()) - 1], false)
}

/// `log q(x, h)` of a generator whose output for `h` `[.., latent]` is `mean` `[.., d]`.
pub fn log_joint(x: &Tensor, h: &Tensor, mean: &Tensor, sigma: &Tensor) -> Result<Tensor> {
    let (zero, one) = (Tensor::scalar(0.0, h.device())?, Tensor::scalar(1.0, h.device())?);
    log_normal(h, &zero, &one)?.add(&log_normal(x, mean, sigma)?)
}

/// Estimates `-d log q(x)/dx = E[(x - G(h)) / sigma^2 | x]` for cells `x` `[n, d]` that came from `h`
/// `[n, latent]`: samples `h_i ~ N(h, eta^2)` with weights `q(x, h_i) / N(h_i; h, eta^2)`, normalised
/// per cell. Off the tape.
///
/// # Errors
/// Device errors.
pub fn pull(
    decode: &dyn Fn(&Tensor) -> Result<Tensor>,
    x: &Tensor,
    h: &Tensor,
    eta: &Tensor,
    sigma: &Tensor,
    samples: usize,
    draws: Stream,
) -> Result<Pull> {
    no_grad(|| {
        let (n, latent) = (h.size(0), h.size(1));
        let around = h.add(&normal(draws, 0.0, 1.0, &[samples, n, latent], h.device())?.mul(eta)?)?;
        let mean = decode(&around.reshape(&[samples * n, latent])?)?.reshape(&[samples, n, x.size(1)])?;
        let weights = log_joint(x, &around, &mean, sigma)?.sub(&log_normal(&around, h, eta)?)?;
        let weights = weights.t()?.softmax()?;
        let slopes = x.sub(&mean)?.div(&sigma.square()?)?.permute(&[1, 0, 2])?;
        let c = weights.unsqueeze(1)?.matmul(&slopes)?.reshape(x.shape())?;
        let effective = weights.square()?.sum(&[1], false)?.recip()?.mean_all()?;
        Ok(Pull { c, effective })
    })
}
