//! Derivatives of products: dense, sparse, kernel sums.

use crate::error::Result;
use crate::tensor::Tensor;
use crate::tensor::op::{Activation, MmdKernel, Op, Sparse, Unary, apply};

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

/// For `K(x, y) v`; the kernels are symmetric, so y's gradient is x's with the roles swapped.
pub fn mmd(kernel: &MmdKernel, x: &[Tensor], g: &Tensor, need: &[bool]) -> Result<Vec<Option<Tensor>>> {
    let (a, b, v) = (&x[0], &x[1], &x[2]);
    let ga = if need[0] { Some(apply(Op::MmdGrad(kernel.clone()), &[a, b, g, v])?) } else { None };
    let gb = if need[1] { Some(apply(Op::MmdGrad(kernel.clone()), &[b, a, v, g])?) } else { None };
    let gv = if need[2] { Some(b.kernel_product(kernel, a, g)?) } else { None };
    Ok(vec![ga, gb, gv])
}
