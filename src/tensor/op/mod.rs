//! **The op table**: every row of [`Op`] says what can be done to tensors. `forward` (files beside
//! this one, by family) gives a row its shape rule and its kernel; `vjp` its derivative.
//!
//! To add an op: a row here, its `forward`, its arm in `vjp`, a method, a case in `tests/op_table`.

mod elementwise;
mod fused;
mod norm;
mod product;
mod reduce;
mod select;
mod view;

pub use elementwise::{Binary, Unary};
pub use fused::{MmdKernel, Similarity, Zinb};
pub(super) use fused::{mmd_sum, zinb_grad, zinb_sum, zinb_sum_grad};
pub use norm::batch_norm_with_running;
pub(super) use norm::{batch_norm_grad, batch_stats, cross_entropy_grad, layer_norm_grad};
pub use product::{Activation, Sparse};
pub use reduce::Reduce;
pub(super) use reduce::arg as reduce_arg;
pub(super) use select::one_hot;
pub(super) use view::contiguous as copy_of;

use super::grad::recording;
use super::{Dtype, Tensor};
use crate::error::{Error, Result};
use std::sync::Arc;

/// The enum with the names of its rows beside it.
macro_rules! table {
    ($(#[$about:meta])* pub enum Op {
        $($(#[$doc:meta])* $row:ident $(($($inner:ty),*))? $({ $($field:ident: $kind:ty),* })?,)*
    }) => {
        $(#[$about])*
        // Each row's own lines tell of its fields.
        #[allow(missing_docs)]
        #[derive(Clone, Debug)]
        pub enum Op {
            $($(#[$doc])* $row $(($($inner),*))? $({ $($field: $kind),* })?,)*
        }

        impl Op {
            /// Every row, in the order of the table.
            pub const ROWS: &[&str] = &[$(stringify!($row)),*];

            /// The row, one of [`Op::ROWS`].
            pub fn row(&self) -> &'static str {
                match self {
                    $(Op::$row { .. } => stringify!($row),)*
                }
            }
        }
    };
}

table! {
/// What can be done to tensors. Shapes in brackets; `..` are leading axes.
pub enum Op {
    // ---- elementwise ----
    /// `f(x)` with scalars `a`, `b`.
    Unary { f: Unary, a: f32, b: f32 },
    /// `f(x, y)`, broadcast.
    Binary(Binary),
    /// `cond != 0 ? x : y`, broadcast.
    Select,
    /// `x` forward, `-weight g` backward (Ganin et al. 2016).
    GradReverse { weight: f32 },
    // ---- views and copies ----
    /// Row-major copy.
    Contiguous,
    /// Same elements in row-major order, other shape.
    Reshape(Vec<usize>),
    /// Axes in another order.
    Permute(Vec<usize>),
    /// Axes of size 1 (or new leading ones) stretched.
    Expand(Vec<usize>),
    /// `len` entries along `axis`, from `start`, every `step`-th.
    Slice { axis: usize, start: usize, step: usize, len: usize },
    /// Reversed along `axis`.
    Flip { axis: usize },
    /// Zeros of `size` along `axis` with `x` at `start`, every `step`-th: the adjoint of `Slice`.
    Place { axis: usize, start: usize, step: usize, size: usize },
    /// One after the other along `axis`.
    Concat { axis: usize },
    // ---- reductions ----
    /// Along one axis, which disappears.
    Reduce { f: Reduce, axis: usize },
    /// Of everything, to `[]`.
    ReduceAll(Reduce),
    /// Running sum along an axis.
    CumSum { axis: usize },
    // ---- products ----
    /// `[.., m, k] x [.., k, n] -> [.., m, n]`, leading axes broadcast.
    Matmul,
    /// `act(x wᵀ + b)`, x `[.., k]`, w `[n, k]`, b `[n]`.
    Linear { act: Activation },
    /// `act(x wᵀ + b + r)`, r `[.., n]`.
    LinearResidual { act: Activation },
    /// `act(s w + b)`, sparse s `[m, k]`, w `[k, n]`, b `[n]`.
    SparseLinear { s: Arc<Sparse>, act: Activation },
    /// Sparse `[m, k]` x dense `[k, n]`.
    SparseMatmul { s: Arc<Sparse> },
    // ---- rows ----
    /// Along the last axis.
    Softmax,
    /// Along the last axis.
    LogSoftmax,
    /// Along the last axis, which disappears.
    LogSumExp,
    /// `-sum_j t_j log softmax(z)_j`; z, t `[rows, n] -> [rows]`.
    CrossEntropy,
    /// Batch normalisation; x `[rows, n]`, w `[n]`, b `[n]`, and mean and variance of x `[n]`, computed
    /// once for the value and the gradient (x's gradient counts them as functions of x).
    BatchNorm { eps: f32 },
    /// Layer normalisation over the last axis; x `[.., n]`, w `[n]`, b `[n]`.
    LayerNorm { eps: f32 },
    // ---- selection ----
    /// x `[rows, ..]`, idx u32 `[m] -> [m, ..]`.
    GatherRows,
    /// x `[m, ..]`, idx u32 `[m] -> [rows, ..]`, summed where indices repeat.
    AddRows { rows: usize },
    /// x `[.., n, ..]`, idx u32 `[.., m, ..] -> [.., m, ..]` along `axis`.
    Gather { axis: usize },
    /// x, idx u32 `[.., m, ..] -> [.., size, ..]`, summed: the adjoint of `Gather`.
    AddAlong { axis: usize, size: usize },
    // ---- fused ----
    /// Log-likelihood of counts per row, (zero-inflated) negative binomial.
    Zinb(Zinb),
    /// `sum_i w_i` log-likelihood of row i, to `[]`; inputs those of `Zinb`, w `[rows]`, then the values
    /// and the weighted gradients with respect to m, r and h that the same pass gave.
    ZinbSum(Zinb),
    /// Gradients of `Zinb`, number `of` its inputs.
    ZinbGrad { zinb: Zinb, of: usize },
    /// `K(x, y) v`; x `[m, d]`, y `[n, d]`, gamma `[k]`, v `[n, p] -> [m, p]`, K never stored.
    Mmd { similarity: Similarity, skip_diagonal: bool },
    /// Sum of `K(x, y)` over all pairs, to `[]`; inputs x, y, gamma and the gradients with respect to
    /// x and y that the pass over the pairs gave along with the sum (y's is empty if y is x).
    MmdSum { similarity: Similarity, skip_diagonal: bool },
    /// Gradient of `<u, K(x, y) v>` with respect to x; inputs x, y, gamma, u `[m, p]`, v `[n, p]`.
    MmdGrad { similarity: Similarity, skip_diagonal: bool },
}
}

impl Op {
    /// How often the row can be differentiated: 0 or 1 times, or 2 for twice and more. One time more
    /// is `Error::NotDifferentiable`.
    pub fn orders(&self) -> usize {
        match self {
            Op::ZinbGrad { .. } | Op::MmdGrad { .. } | Op::Unary { f: Unary::Trigamma, .. } => 0,
            Op::Zinb(_) | Op::ZinbSum(_) | Op::Mmd { .. } | Op::MmdSum { .. } | Op::Unary { f: Unary::Digamma, .. } => {
                1
            }
            _ => 2,
        }
    }

    /// The row's name, for errors and prints.
    pub fn name(&self) -> &'static str {
        match self {
            Op::Unary { f, .. } => elementwise::unary_name(*f),
            Op::Binary(f) => elementwise::binary_name(*f),
            Op::Select => "where",
            Op::GradReverse { .. } => "grad_reverse",
            Op::Contiguous => "contiguous",
            Op::Reshape(_) => "reshape",
            Op::Permute(_) => "permute",
            Op::Expand(_) => "expand",
            Op::Slice { .. } => "slice",
            Op::Flip { .. } => "flip",
            Op::Place { .. } => "place",
            Op::Concat { .. } => "concat",
            Op::Reduce { f, .. } | Op::ReduceAll(f) => reduce::name(*f),
            Op::CumSum { .. } => "cumsum",
            Op::Matmul => "matmul",
            Op::Linear { .. } => "linear",
            Op::LinearResidual { .. } => "linear_residual",
            Op::SparseLinear { .. } => "sparse_linear",
            Op::SparseMatmul { .. } => "sparse_matmul",
            Op::Softmax => "softmax",
            Op::LogSoftmax => "log_softmax",
            Op::LogSumExp => "logsumexp",
            Op::CrossEntropy => "cross_entropy",
            Op::BatchNorm { .. } => "batch_norm",
            Op::LayerNorm { .. } => "layer_norm",
            Op::GatherRows => "index_select",
            Op::AddRows { .. } => "index_add",
            Op::Gather { .. } => "gather",
            Op::AddAlong { .. } => "scatter_add",
            Op::Zinb(_) => "zinb",
            Op::ZinbSum(_) => "zinb_sum",
            Op::ZinbGrad { .. } => "zinb_grad",
            Op::Mmd { .. } => "mmd",
            Op::MmdSum { .. } => "mmd_sum",
            Op::MmdGrad { .. } => "mmd_grad",
        }
    }
}

/// Runs an op and, if anything tracked goes in, puts it on the tape.
pub(super) fn apply(op: Op, inputs: &[&Tensor]) -> Result<Tensor> {
    if let Some(other) = inputs.iter().find(|t| !t.device().same(inputs[0].device())) {
        return Err(Error::Argument {
            op: op.name(),
            what: format!(
                "inputs live on \"{}\" and \"{}\"; move them to one device",
                inputs[0].device().name(),
                other.device().name()
            ),
        });
    }
    let out = forward(&op, inputs)?;
    Ok(match recording() && out.dtype() == Dtype::F32 && inputs.iter().any(|t| t.tracked()) {
        true => out.with_node(op, inputs.iter().map(|&t| t.clone()).collect()),
        false => out,
    })
}

fn forward(op: &Op, inputs: &[&Tensor]) -> Result<Tensor> {
    match op {
        Op::Unary { f, a, b } => elementwise::unary(op.name(), *f, *a, *b, inputs[0]),
        Op::Binary(f) => elementwise::binary(op.name(), *f, inputs[0], inputs[1]),
        Op::Select => elementwise::select(inputs[0], inputs[1], inputs[2]),
        Op::GradReverse { .. } => Ok(inputs[0].detach()),
        Op::Contiguous => view::contiguous(inputs[0]),
        Op::Reshape(shape) => view::reshape(inputs[0], shape),
        Op::Permute(axes) => view::permute(inputs[0], axes),
        Op::Expand(shape) => view::expand(inputs[0], shape),
        Op::Slice { axis, start, step, len } => view::slice(inputs[0], *axis, *start, *step, *len),
        Op::Flip { axis } => view::flip(inputs[0], *axis),
        Op::Place { axis, start, step, size } => view::place(inputs[0], *axis, *start, *step, *size),
        Op::Concat { axis } => view::concat(inputs, *axis),
        Op::Reduce { f, axis } => reduce::reduce(op.name(), *f, inputs[0], *axis),
        Op::ReduceAll(f) => reduce::reduce_all(op.name(), *f, inputs[0]),
        Op::CumSum { axis } => reduce::cumsum(inputs[0], *axis),
        Op::Matmul => product::matmul(inputs[0], inputs[1]),
        Op::Linear { act } => product::linear(op.name(), inputs[0], inputs[1], Some(inputs[2]), None, *act),
        Op::LinearResidual { act } => {
            product::linear(op.name(), inputs[0], inputs[1], Some(inputs[2]), Some(inputs[3]), *act)
        }
        Op::SparseLinear { s, act } => product::sparse(op.name(), s, inputs[0], Some(inputs[1]), *act),
        Op::SparseMatmul { s } => product::sparse(op.name(), s, inputs[0], None, Activation::None),
        Op::Softmax => norm::softmax(inputs[0]),
        Op::LogSoftmax => norm::log_softmax(inputs[0]),
        Op::LogSumExp => norm::logsumexp(inputs[0]),
        Op::CrossEntropy => norm::cross_entropy(inputs[0], inputs[1]),
        Op::BatchNorm { eps } => norm::batch_norm(inputs[0], inputs[1], inputs[2], [inputs[3], inputs[4]], *eps),
        Op::LayerNorm { eps } => norm::layer_norm(inputs[0], inputs[1], inputs[2], *eps),
        Op::GatherRows => select::gather_rows(inputs[0], inputs[1]),
        Op::AddRows { rows } => select::add_rows(inputs[0], inputs[1], *rows),
        Op::Gather { axis } => select::gather(inputs[0], inputs[1], *axis),
        Op::AddAlong { axis, size } => select::add_along(inputs[0], inputs[1], *axis, *size),
        Op::Zinb(zinb) => fused::zinb(zinb, inputs),
        Op::Mmd { similarity, skip_diagonal } => fused::mmd(*similarity, *skip_diagonal, inputs),
        Op::MmdGrad { similarity, skip_diagonal } => fused::mmd_grad(*similarity, *skip_diagonal, inputs),
        Op::ZinbSum(_) => unreachable!("made with its gradients in fused::zinb_sum"),
        Op::MmdSum { .. } => unreachable!("made with its gradients in fused::mmd_sum"),
        Op::ZinbGrad { .. } => unreachable!("made together with its siblings in fused::zinb_grad"),
    }
}
