//! Losses, composed of tensor ops. Unless said otherwise a scalar comes back.

use crate::error::Result;
use crate::tensor::Tensor;

/// Mean over rows of `-ln softmax(logits)_target`; target u32 `[rows]`.
pub fn cross_entropy(logits: &Tensor, target: &Tensor) -> Result<Tensor> {
    let classes = logits.size(logits.rank() - 1);
    logits.cross_entropy_rows(&target.one_hot(classes)?)?.mean_all()
}

/// Mean over rows of `-sum_j t_j ln softmax(logits)_j`; target `[rows, classes]`.
pub fn cross_entropy_soft(logits: &Tensor, target: &Tensor) -> Result<Tensor> {
    logits.cross_entropy_rows(target)?.mean_all()
}

/// [`cross_entropy`] with weights per class, divided by the weights met, and label smoothing
/// `(1 - smooth) onehot + smooth / classes` (PyTorch's definition).
pub fn cross_entropy_weighted(
    logits: &Tensor,
    target: &Tensor,
    weight: Option<&Tensor>,
    smooth: f32,
) -> Result<Tensor> {
    let classes = logits.size(logits.rank() - 1);
    let hot = target.one_hot(classes)?;
    let soft =
        if smooth > 0.0 { hot.mul_scalar(1.0 - smooth)?.add_scalar(smooth / classes as f32)? } else { hot.clone() };
    match weight {
        None => cross_entropy_soft(logits, &soft),
        Some(w) => {
            let total = logits.cross_entropy_rows(&soft.mul(w)?)?.sum_all()?;
            total.div(&hot.mul(w)?.sum_all()?)
        }
    }
}

/// Mean of `(a - b)²`.
pub fn mse(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    a.sub(b)?.square()?.mean_all()
}

/// Mean of `|a - b|`.
pub fn l1(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    a.sub(b)?.abs()?.mean_all()
}

/// Mean of the Huber-like loss: `d²/(2 beta)` below `beta`, `|d| - beta/2` above.
pub fn smooth_l1(a: &Tensor, b: &Tensor, beta: f32) -> Result<Tensor> {
    let d = a.sub(b)?.abs()?;
    let near = d.lt(&Tensor::scalar(beta, d.device())?)?;
    near.select(&d.square()?.mul_scalar(0.5 / beta)?, &d.add_scalar(-0.5 * beta)?)?.mean_all()
}

/// Elements of the binary cross-entropy of `sigmoid(x)` against `t` in [0, 1]: `softplus(x) - t x`.
pub fn bce_with_logits(x: &Tensor, t: &Tensor) -> Result<Tensor> {
    x.softplus()?.sub(&t.mul(x)?)
}

/// Elements of `p (ln p - log_q)`; 0 where p is 0.
pub fn kl_div(log_q: &Tensor, p: &Tensor) -> Result<Tensor> {
    let zero = Tensor::scalar(0.0, p.device())?;
    let one = Tensor::scalar(1.0, p.device())?;
    let positive = p.detach().gt(&zero)?;
    let ln_p = positive.select(p, &one)?.ln()?;
    positive.select(&p.mul(&ln_p.sub(log_q)?)?, &zero)
}

/// Entropy in nats of `softmax(logits)` per row.
pub fn entropy(logits: &Tensor) -> Result<Tensor> {
    let axis = logits.rank() - 1;
    logits.softmax()?.mul(&logits.log_softmax()?)?.sum(&[axis], false)?.neg()
}
