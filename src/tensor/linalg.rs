//! Products, distances and row functions.

use super::Tensor;
use super::op::{Activation, MmdKernel, Op, Sparse, Zinb, apply, batch_stats, mmd_sum, zinb_sum};
use crate::error::{Error, Result};
use std::sync::Arc;

impl Tensor {
    /// Matrix product; leading axes broadcast. Vectors: use [`Tensor::reshape`] or [`Tensor::dot`].
    pub fn matmul(&self, other: &Tensor) -> Result<Tensor> {
        apply(Op::Matmul, &[self, other])
    }

    /// Sum of products of two vectors, shape `[]`.
    pub fn dot(&self, other: &Tensor) -> Result<Tensor> {
        let n = self.numel();
        other.expect_shape("dot", &[n])?;
        self.reshape(&[1, n])?.matmul(&other.reshape(&[n, 1])?)?.reshape(&[])
    }

    /// `act(x wᵀ + b)`: x `[.., k]`, w `[n, k]`, b `[n]`.
    pub fn linear(&self, w: &Tensor, b: &Tensor, act: Activation) -> Result<Tensor> {
        apply(Op::Linear { act }, &[self, w, b])
    }

    /// `act(x wᵀ + b + r)`: r like the result.
    pub fn linear_residual(&self, w: &Tensor, b: &Tensor, r: &Tensor, act: Activation) -> Result<Tensor> {
        apply(Op::LinearResidual { act }, &[self, w, b, r])
    }

    /// `act(s w + b)` for a sparse `s` `[m, k]`: w `[k, n]` (input x output), b `[n]`.
    pub fn sparse_linear(s: &Arc<Sparse>, w: &Tensor, b: &Tensor, act: Activation) -> Result<Tensor> {
        apply(Op::SparseLinear { s: s.clone(), act }, &[w, b])
    }

    /// Sparse `[m, k]` x dense `self [k, n]`.
    pub fn sparse_matmul(s: &Arc<Sparse>, dense: &Tensor) -> Result<Tensor> {
        apply(Op::SparseMatmul { s: s.clone() }, &[dense])
    }

    /// Squared Euclidean distances between rows: `[m, d]`, `[n, d] -> [m, n]`, by direct differences.
    pub fn cdist_squared(&self, other: &Tensor) -> Result<Tensor> {
        if self.rank() != 2 || other.rank() != 2 || self.size(1) != other.size(1) {
            return Err(Error::Shape {
                op: "cdist",
                expected: "[m, d] and [n, d]".into(),
                found: format!("{:?} and {:?}", self.shape(), other.shape()),
            });
        }
        self.unsqueeze(1)?.sub(&other.unsqueeze(0)?)?.square()?.sum(&[2], false)
    }

    /// Softmax along the last axis.
    pub fn softmax(&self) -> Result<Tensor> {
        apply(Op::Softmax, &[self])
    }

    /// Log-softmax along the last axis.
    pub fn log_softmax(&self) -> Result<Tensor> {
        apply(Op::LogSoftmax, &[self])
    }

    /// `ln sum exp` along the last axis, which disappears.
    pub fn logsumexp(&self) -> Result<Tensor> {
        apply(Op::LogSumExp, &[self])
    }

    /// `-sum_j t_j log softmax(self)_j` per row; logits and targets `[rows, n]`.
    pub fn cross_entropy_rows(&self, target: &Tensor) -> Result<Tensor> {
        apply(Op::CrossEntropy, &[self, target])
    }

    /// Batch normalisation of `[rows, n]` with the batch's own mean and (biased) variance.
    pub fn batch_norm(&self, w: &Tensor, b: &Tensor, eps: f32) -> Result<Tensor> {
        let stats = batch_stats(self)?;
        apply(Op::BatchNorm { eps }, &[self, w, b, &stats.mean, &stats.var])
    }

    /// Layer normalisation over the last axis.
    pub fn layer_norm(&self, w: &Tensor, b: &Tensor, eps: f32) -> Result<Tensor> {
        apply(Op::LayerNorm { eps }, &[self, w, b])
    }

    /// Log-likelihood per row of the counts `self` `[rows, n]`; see [`Zinb`].
    pub fn zinb(&self, zinb: Zinb, params: &[&Tensor]) -> Result<Tensor> {
        let mut inputs = vec![self];
        inputs.extend(params);
        apply(Op::Zinb(zinb), &inputs)
    }

    /// `sum_i weight_i ln p_i`, to `[]`: [`Tensor::zinb`] summed over rows with weights `[rows]` (each
    /// row's share of a loss), value and gradients in one pass over memory.
    pub fn zinb_sum(&self, zinb: Zinb, params: &[&Tensor], weight: &Tensor) -> Result<Tensor> {
        let mut inputs = vec![self];
        inputs.extend(params);
        zinb_sum(&zinb, &inputs, weight)
    }

    /// Sum of `K(self, y)` over all pairs, `[m, d]`, `[n, d] -> []`, without storing K; with
    /// gradients at the price of one pass over the pairs for each set.
    pub fn kernel_sum(&self, kernel: &MmdKernel, y: &Tensor) -> Result<Tensor> {
        mmd_sum(kernel, self, y)
    }

    /// `K(self, y) v` without storing K: `[m, d]`, `[n, d]`, `[n, p] -> [m, p]`.
    pub fn kernel_product(&self, kernel: &MmdKernel, y: &Tensor, v: &Tensor) -> Result<Tensor> {
        let MmdKernel { similarity, skip_diagonal, gamma } = kernel;
        apply(Op::Mmd { similarity: *similarity, skip_diagonal: *skip_diagonal }, &[self, y, gamma, v])
    }
}
