//! Forward of row functions and normalisations, and their fused gradients.

use crate::error::Result;
use crate::tensor::{Tensor, no_grad};

pub fn softmax(x: &Tensor) -> Result<Tensor> {
    log_softmax(x)?.exp()
}

pub fn log_softmax(x: &Tensor) -> Result<Tensor> {
    no_grad(|| x.sub(&logsumexp(x)?.unsqueeze(x.rank() - 1)?))
}

pub fn logsumexp(x: &Tensor) -> Result<Tensor> {
    let axis = x.rank() - 1;
    no_grad(|| {
        let max = x.amax(&[axis], true)?;
        let sum = x.sub(&max)?.exp()?.sum(&[axis], true)?;
        let mut to = x.shape().to_vec();
        to.pop();
        sum.ln()?.add(&max)?.reshape(&to)
    })
}

pub fn cross_entropy(z: &Tensor, t: &Tensor) -> Result<Tensor> {
    no_grad(|| log_softmax(z)?.mul(t)?.sum(&[1], false)?.neg())
}

pub fn batch_norm(x: &Tensor, w: &Tensor, b: &Tensor, eps: f32) -> Result<Tensor> {
    no_grad(|| normalise(x, w, b, eps, 0))
}

pub fn layer_norm(x: &Tensor, w: &Tensor, b: &Tensor, eps: f32) -> Result<Tensor> {
    no_grad(|| normalise(x, w, b, eps, x.rank() - 1))
}

fn normalise(x: &Tensor, w: &Tensor, b: &Tensor, eps: f32, axis: usize) -> Result<Tensor> {
    let centred = x.sub(&x.mean(&[axis], true)?)?;
    let r = centred.square()?.mean(&[axis], true)?.add_scalar(eps)?.rsqrt()?;
    centred.mul(&r)?.mul(w)?.add(b)
}

/// Mean and biased variance per feature.
pub struct BatchStats {
    pub mean: Tensor,
    pub var: Tensor,
}

pub fn batch_stats(x: &Tensor) -> Result<BatchStats> {
    no_grad(|| Ok(BatchStats { mean: x.mean(&[0], false)?, var: x.var(&[0], 0, false)? }))
}
