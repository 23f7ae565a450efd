//! One derivative rule per op, written in tensor methods only, so that a rule can be differentiated
//! again. A fused gradient kernel is an op of its own (`ZinbGrad`, `MmdGrad`, ...).

mod elementwise;
mod norm;
mod product;

use super::Tensor;
use super::op::{Op, Reduce};
use crate::error::{Error, Result};

/// Gradients with respect to the inputs that `need` one, given the gradient `g` of the result `y`.
pub(super) fn vjp(op: &Op, x: &[Tensor], y: &Tensor, g: &Tensor, need: &[bool]) -> Result<Vec<Option<Tensor>>> {
    let one = |t: Result<Tensor>| Ok(vec![Some(t?)]);
    match op {
        Op::Unary { f, a, b } => one(elementwise::unary(*f, *a, *b, &x[0], y, g)),
        Op::Binary(f) => elementwise::binary(*f, &x[0], &x[1], y, g, need),
        Op::Select => {
            let zero = Tensor::scalar(0.0, g.device())?;
            let to = |chosen: Result<Tensor>, like: &Tensor| chosen?.sum_to(like.shape()).map(Some);
            Ok(vec![
                None,
                if need[1] { to(x[0].select(g, &zero), &x[1])? } else { None },
                if need[2] { to(x[0].select(&zero, g), &x[2])? } else { None },
            ])
        }
        Op::GradReverse { weight } => one(g.mul_scalar(-weight)),

        Op::Contiguous => one(Ok(g.clone())),
        Op::Reshape(_) => one(g.reshape(x[0].shape())),
        Op::Permute(axes) => {
            let mut back = vec![0; axes.len()];
            for (i, &a) in axes.iter().enumerate() {
                back[a] = i;
            }
            one(g.permute(&back))
        }
        Op::Expand(_) => one(g.sum_to(x[0].shape())),
        Op::Slice { axis, start, step, .. } => one(g.place(*axis, *start, *step, x[0].size(*axis))),
        Op::Place { axis, start, step, .. } => one(g.slice(*axis, *start, *step, x[0].size(*axis))),
        Op::Flip { axis } => one(g.flip(*axis)),
        Op::Concat { axis } => {
            let mut start = 0;
            x.iter()
                .zip(need)
                .map(|(part, need)| {
                    let at = start;
                    start += part.size(*axis);
                    if *need { g.narrow(*axis, at, part.size(*axis)).map(Some) } else { Ok(None) }
                })
                .collect()
        }

        Op::Reduce { f: Reduce::Sum, axis } => one(g.unsqueeze(*axis)?.expand(x[0].shape())),
        Op::ReduceAll(Reduce::Sum) => one(g.expand(x[0].shape())),
        Op::Reduce { axis, .. } => one(share_extremes(&x[0], &y.unsqueeze(*axis)?, &g.unsqueeze(*axis)?, &[*axis])),
        Op::ReduceAll(_) => {
            let axes: Vec<usize> = (0..x[0].rank()).collect();
            let ones = vec![1; x[0].rank()];
            one(share_extremes(&x[0], &y.reshape(&ones)?, &g.reshape(&ones)?, &axes))
        }
        Op::CumSum { axis } => one(g.flip(*axis)?.cumsum(*axis)?.flip(*axis)),

        Op::Matmul => product::matmul(&x[0], &x[1], g, need),
        Op::Linear { act } | Op::LinearResidual { act } => product::linear(*act, x, y, g, need),
        Op::SparseLinear { s, act } => product::sparse_linear(s, *act, y, g, need),
        Op::SparseMatmul { s } => one(Tensor::sparse_matmul(&s.transposed()?, g)),

        Op::Softmax => {
            let inner = g.mul(y)?;
            one(inner.sub(&y.mul(&inner.sum_last()?)?))
        }
        Op::LogSoftmax => one(g.sub(&y.exp()?.mul(&g.sum_last()?)?)),
        Op::LogSumExp => one(x[0].softmax()?.mul(&g.unsqueeze(g.rank())?)),
        Op::CrossEntropy => norm::cross_entropy(&x[0], &x[1], g, need),
        Op::BatchNorm { eps } => norm::batch_norm(x, g, *eps, need),
        Op::LayerNorm { eps } => norm::layer_norm(&x[0], &x[1], g, *eps, need),

        Op::GatherRows => Ok(vec![Some(g.add_rows(&x[1], x[0].size(0))?), None]),
        Op::AddRows { .. } => Ok(vec![Some(g.index_select(&x[1])?), None]),
        Op::Gather { axis } => Ok(vec![Some(g.add_along(*axis, &x[1], x[0].size(*axis))?), None]),
        Op::AddAlong { axis, .. } => Ok(vec![Some(g.gather(*axis, &x[1])?), None]),

        Op::Zinb(zinb) => super::op::zinb_grad(zinb, x, g, need),
        Op::ZinbSum(zinb) => super::op::zinb_sum_grad(zinb, x, g, need),
        Op::Mmd { similarity, skip_diagonal } => product::mmd(*similarity, *skip_diagonal, x, g, need),
        Op::MmdSum { similarity, skip_diagonal } => product::mmd_sum(*similarity, *skip_diagonal, x, g, need),
        Op::ZinbGrad { .. } | Op::MmdGrad { .. } => Err(Error::NotDifferentiable { op: op.name(), order: 2 }),
    }
}

/// The gradient of a maximum or minimum, shared by the entries that attain it.
fn share_extremes(x: &Tensor, y: &Tensor, g: &Tensor, axes: &[usize]) -> Result<Tensor> {
    let at = x.detach().eq(&y.detach())?;
    at.mul(&g.div(&at.sum(axes, true)?)?)
}

impl Tensor {
    /// Sum along the last axis, which stays with size 1.
    fn sum_last(&self) -> Result<Tensor> {
        self.sum(&[self.rank() - 1], true)
    }

    fn place(&self, axis: usize, start: usize, step: usize, size: usize) -> Result<Tensor> {
        super::op::apply(Op::Place { axis, start, step, size }, &[self])
    }
}
