//! Derivatives of products: dense, sparse, kernel sums.

use crate::error::{Error, Result};
use crate::tensor::Tensor;
use crate::tensor::grad::recording;
use crate::tensor::op::{Activation, Op, Similarity, Sparse, Unary, apply};

pub fn matmul(a: &Tensor, b: &Tensor, g: &Tensor, need: &[bool]) -> Result<Vec<Option<Tensor>>> {
    let ga = if need[0] { Some(g.matmul(&b.t()?)?.sum_to(a.shape())?) } else { None };
    let gb = if need[1] { Some(a.t()?.matmul(g)?.sum_to(b.shape())?) } else { None };
    Ok(vec![ga, gb])
}

/// Gradient before an activation, from its *output* `y`.
fn before(act: Activation, y: &Tensor, g: &Tensor) -> Result<Tensor> {
    match act {
        Activation::None => Ok(g.clone()),
        Activation::Relu => g.mul(&y.unary(Unary::Step, 0.0, 0.0)?),
        // A positive slope keeps the sign, so the output tells the side.
        Activation::LeakyRelu(slope) => g.mul(&y.unary(Unary::Step, slope, 0.0)?),
        Activation::Elu(alpha) => g.mul(&y.unary(Unary::EluSlope, alpha, 0.0)?),
        Activation::Tanh => g.mul(&y.square()?.neg()?.add_scalar(1.0)?),
        Activation::Sigmoid => g.mul(&y.mul(&y.neg()?.add_scalar(1.0)?)?),
        // sigmoid(x) = 1 - e^-softplus(x)
        Activation::Softplus => g.mul(&y.neg()?.expm1()?.neg()?),
    }
}

/// For `act(x wᵀ + b (+ r))`; inputs x, w, b and perhaps r.
pub fn linear(act: Activation, x: &[Tensor], y: &Tensor, g: &Tensor, need: &[bool]) -> Result<Vec<Option<Tensor>>> {
    let g = before(act, y, g)?;
    let (input, w) = (&x[0], &x[1]);
    let flat = |t: &Tensor| t.reshape(&[t.numel() / t.size(t.rank() - 1).max(1), t.size(t.rank() - 1)]);
    let gx = if need[0] { Some(g.matmul(w)?) } else { None };
    let gw = if need[1] { Some(flat(&g)?.t()?.matmul(&flat(input)?)?) } else { None };
    let gb = if need[2] { Some(flat(&g)?.sum(&[0], false)?) } else { None };
    let mut grads = vec![gx, gw, gb];
    if x.len() == 4 {
        grads.push(need[3].then_some(g));
    }
    Ok(grads)
}

/// For `act(s w + b)`; inputs w, b. The weight gradient is sparse-transposed x dense.
pub fn sparse_linear(
    s: &Sparse,
    act: Activation,
    y: &Tensor,
    g: &Tensor,
    need: &[bool],
) -> Result<Vec<Option<Tensor>>> {
    let g = before(act, y, g)?;
    let gw = if need[0] { Some(Tensor::sparse_matmul(&s.transposed()?, &g)?) } else { None };
    let gb = if need[1] { Some(g.sum(&[0], false)?) } else { None };
    Ok(vec![gw, gb])
}

/// For `K(x, y) v`; inputs x, y, gamma, v. The kernels are symmetric, so y's gradient is x's with
/// the roles swapped; the gradient of a scale g is that of its logarithm over g.
pub fn mmd(
    similarity: Similarity,
    skip_diagonal: bool,
    inputs: &[Tensor],
    g: &Tensor,
    need: &[bool],
) -> Result<Vec<Option<Tensor>>> {
    let [x, y, gamma, v] = inputs else {
        return Err(Error::Argument { op: "mmd", what: format!("takes 4 inputs, was given {}", inputs.len()) });
    };
    let slope = || Op::MmdGrad { similarity, skip_diagonal };
    let gx = if need[0] { Some(apply(slope(), &[x, y, gamma, g, v])?) } else { None };
    let gy = if need[1] { Some(apply(slope(), &[y, x, gamma, v, g])?) } else { None };
    let ggamma = match (need[2], similarity) {
        (false, _) => None,
        (true, Similarity::Gaussian) => {
            let by_log = Op::Mmd { similarity: Similarity::GaussianScale, skip_diagonal };
            let each = (0..gamma.numel()).map(|k| {
                let one = gamma.narrow(0, k, 1)?;
                apply(by_log.clone(), &[x, y, &one, v])?.mul(g)?.sum_all()?.reshape(&[1])?.div(&one)
            });
            let each = each.collect::<Result<Vec<_>>>()?;
            Some(Tensor::concat(&each.iter().collect::<Vec<_>>(), 0)?)
        }
        (true, _) => return Err(Error::NotDifferentiable { op: "mmd with respect to its scales", order: 1 }),
    };
    let gv = if need[3] { Some(apply(Op::Mmd { similarity, skip_diagonal }, &[y, x, gamma, g])?) } else { None };
    Ok(vec![gx, gy, ggamma, gv])
}

/// For the sum of `K(x, y)`; inputs x, y, gamma and the gradients that came with the sum. Those are
/// off the tape: where the gradient is itself recorded, it is computed anew as an op.
pub fn mmd_sum(
    similarity: Similarity,
    skip_diagonal: bool,
    inputs: &[Tensor],
    g: &Tensor,
    need: &[bool],
) -> Result<Vec<Option<Tensor>>> {
    let [x, y, gamma, gx, gy] = inputs else {
        return Err(Error::Argument { op: "mmd_sum", what: format!("takes 5 inputs, was given {}", inputs.len()) });
    };
    let itself = x.is(y);
    if recording() || need[2] {
        let weights = |t: &Tensor| Tensor::ones(&[t.size(0), 1], t.device());
        let upstream = g.reshape(&[1, 1])?.expand(&[x.size(0), 1])?;
        let product = [x.clone(), y.clone(), gamma.clone(), weights(y)?];
        let mut grads = mmd(similarity, skip_diagonal, &product, &upstream, &[need[0], need[1], need[2], false])?;
        grads.truncate(3);
        grads.extend([None, None]);
        return Ok(grads);
    }
    let dx = if need[0] { Some(gx.mul(&g.mul_scalar(if itself { 2.0 } else { 1.0 })?)?) } else { None };
    let dy = if need[1] && !itself { Some(gy.mul(g)?) } else { None };
    Ok(vec![dx, dy, None, None, None])
}
