//! Derivatives of normalisations and of cross-entropy.
//!
//! Where the gradient itself is not recorded, batch and layer norm take the fused kernel; where it
//! is, the same formula in tensor ops, which can be differentiated again.

use crate::error::Result;
use crate::tensor::Tensor;
use crate::tensor::grad::recording;
use crate::tensor::op::{batch_norm_grad, cross_entropy_grad, layer_norm_grad};

pub fn cross_entropy(z: &Tensor, t: &Tensor, g: &Tensor, need: &[bool]) -> Result<Vec<Option<Tensor>>> {
    if !recording() && !need[1] {
        return Ok(vec![Some(cross_entropy_grad(z, t, g)?), None]);
    }
    let g = g.unsqueeze(1)?;
    let gz = if need[0] {
        let total = t.sum_last()?;
        Some(z.softmax()?.mul(&total)?.sub(t)?.mul(&g)?)
    } else {
        None
    };
    let gt = if need[1] { Some(z.log_softmax()?.neg()?.mul(&g)?) } else { None };
    Ok(vec![gz, gt])
}

/// Inputs x, w, b and the mean and variance of x, whose gradient is part of x's.
pub fn batch_norm(x: &[Tensor], g: &Tensor, eps: f32, need: &[bool]) -> Result<Vec<Option<Tensor>>> {
    let mut grads = match recording() {
        false => batch_norm_grad(&x[0], &x[1], [&x[3], &x[4]], g, eps)?,
        true => composed(&x[0], &x[1], g, eps, need, 0)?,
    };
    grads.extend([None, None]);
    Ok(grads)
}

pub fn layer_norm(x: &Tensor, w: &Tensor, g: &Tensor, eps: f32, need: &[bool]) -> Result<Vec<Option<Tensor>>> {
    if !recording() {
        return layer_norm_grad(x, w, g, eps);
    }
    composed(x, w, g, eps, need, x.rank() - 1)
}

/// `dx = r (h - mean(h) - xhat mean(h xhat))` with `h = g w`, `r = 1/√(var + eps)`, means along `axis`.
fn composed(x: &Tensor, w: &Tensor, g: &Tensor, eps: f32, need: &[bool], axis: usize) -> Result<Vec<Option<Tensor>>> {
    let centred = x.sub(&x.mean(&[axis], true)?)?;
    let r = centred.square()?.mean(&[axis], true)?.add_scalar(eps)?.rsqrt()?;
    let xhat = centred.mul(&r)?;
    let gx = if need[0] {
        let h = g.mul(w)?;
        let along = xhat.mul(&h.mul(&xhat)?.mean(&[axis], true)?)?;
        Some(h.sub(&h.mean(&[axis], true)?)?.sub(&along)?.mul(&r)?)
    } else {
        None
    };
    let gw = if need[1] { Some(g.mul(&xhat)?.sum_to(w.shape())?) } else { None };
    let gb = if need[2] { Some(g.sum_to(w.shape())?) } else { None };
    Ok(vec![gx, gw, gb])
}
