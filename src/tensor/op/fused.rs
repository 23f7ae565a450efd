//! Forward and fused gradients of likelihoods and kernel sums.

use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// Which negative binomial. Inputs of the op, in order: counts x `[rows, genes]`, m = ln mu
/// `[rows, genes]`, r = ln theta `[genes]` (or `[segments, genes]`), then the zero logit h
/// `[rows, genes]` if `inflated`, then the segment of each row (u32 `[rows]`) if `segmented`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Zinb {
    /// Zero-inflated.
    pub inflated: bool,
    /// Dispersion per segment (batch) of rows.
    pub segmented: bool,
}

/// A kernel function of two rows, and whether pairs of equal index are left out.
#[derive(Clone, Debug, PartialEq)]
pub struct MmdKernel {
    /// The function.
    pub function: Similarity,
    /// Leaves out pairs (i, i): for unbiased sums of one set with itself.
    pub skip_diagonal: bool,
}

/// Kernel functions.
#[derive(Clone, Debug, PartialEq)]
pub enum Similarity {
    /// `a . b`
    Linear,
    /// `sum_g exp(-g |a - b|²)`, up to eight g.
    Rbf(Vec<f32>),
    /// `(a . b / d + 1)³`
    Poly,
    /// `exp(-g |a - b|_1)`
    Laplacian(f32),
}

impl MmdKernel {
    /// The same function, pairs (i, i) left out.
    pub fn without_diagonal(&self) -> Self {
        MmdKernel { skip_diagonal: true, ..self.clone() }
    }
}

fn absent<T>() -> Result<T> {
    Err(Error::Launch { kernel: "fused", why: "this kernel family is still being built".into() })
}

pub fn zinb(_: &Zinb, _: &[&Tensor]) -> Result<Tensor> {
    absent()
}

pub fn zinb_grad(_: &Zinb, _: &[Tensor], _: &Tensor, _: &[bool]) -> Result<Vec<Option<Tensor>>> {
    absent()
}

pub fn mmd(_: &MmdKernel, _: &Tensor, _: &Tensor, _: &Tensor) -> Result<Tensor> {
    absent()
}

pub fn mmd_grad(_: &MmdKernel, _: &Tensor, _: &Tensor, _: &Tensor, _: &Tensor) -> Result<Tensor> {
    absent()
}
