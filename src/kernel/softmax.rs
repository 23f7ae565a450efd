//! Softmax, its logarithm, log-sum-exp and cross-entropy with soft targets, row by row.
//!
//! Inputs are contiguous from word offsets, `rows` rows of `n`; outputs from element 0. With
//! `m = max_j x_j` (exact) and `S = sum_j exp(x_j - m)`:
//!
//! - softmax `exp(x_j - m) / S`; log-softmax `(x_j - m) - ln S`
//! - log-sum-exp `ln S + m`, where 0 stands for an infinite `m` in both places, so that a row of
//!   -inf (and an empty row) gives -inf and a row with +inf gives +inf
//! - cross-entropy `0 - sum_j t_j logp_j`, where a target of 0 contributes 0 even if `logp_j` is
//!   -inf; `t` need not sum to 1
//!
//! Softmax and log-softmax of a row that holds +inf, or nothing but -inf, are NaN. A NaN makes its
//! row NaN. -inf beside finite values has probability 0.
//!
//! Geometry: x = rows. Summation order: lanes (see `kernel::reduce`). Agreement: bits.
//! Cost per element: one exponential; 4 bytes read, and 4 written where the output is a matrix.

use super::{Access, Access::*, Kernel};
use bytemuck::{Pod, Zeroable};

const fn entry(name: &'static str, bindings: &'static [Access]) -> Kernel {
    Kernel { name, bindings }
}

/// Softmax of each row; params [`SoftmaxParams`]; buffers `x`, `out` `[rows, n]`.
pub static SOFTMAX: Kernel = entry("softmax_softmax", &[Read, Write]);
/// Log-softmax of each row; params [`SoftmaxParams`]; buffers `x`, `out` `[rows, n]`.
pub static LOG: Kernel = entry("softmax_log", &[Read, Write]);
/// Log-sum-exp of each row; params [`SoftmaxParams`]; buffers `x`, `out` `[rows]`.
pub static LSE: Kernel = entry("softmax_lse", &[Read, Write]);
/// Cross-entropy of each row; params [`CrossEntropyParams`]; buffers `logits`, `targets`, `out`
/// `[rows]`.
pub static CROSS_ENTROPY: Kernel = entry("softmax_cross_entropy", &[Read, Read, Write]);
/// Gradient of the cross-entropies weighted by `upstream` with respect to the logits:
/// `out = upstream[row] (softmax_j T - t_j)` with `T = sum_j t_j`; params [`CrossEntropyParams`];
/// buffers `logits`, `targets`, `upstream` `[rows]`, `out` `[rows, n]`.
pub static CROSS_ENTROPY_GRAD: Kernel = entry("softmax_cross_entropy_grad", &[Read, Read, Read, Write]);

/// Parameters of [`SOFTMAX`], [`LOG`] and [`LSE`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct SoftmaxParams {
    /// First word of x.
    pub offset: u32,
    /// Number of rows.
    pub rows: u32,
    /// Length of a row.
    pub n: u32,
}

/// Parameters of [`CROSS_ENTROPY`] and [`CROSS_ENTROPY_GRAD`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct CrossEntropyParams {
    /// First word of the logits.
    pub logits_offset: u32,
    /// First word of the targets.
    pub targets_offset: u32,
    /// Of [`CROSS_ENTROPY_GRAD`] alone.
    pub upstream_offset: u32,
    /// Number of rows.
    pub rows: u32,
    /// Number of classes.
    pub n: u32,
}
