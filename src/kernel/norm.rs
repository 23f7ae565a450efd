//! Batch and layer normalisation with their gradients.
//!
//! Batch normalisation (Ioffe & Szegedy 2015) of `x` `[rows, features]` works on columns, layer
//! normalisation (Ba et al. 2016) of `[rows, n]` on rows. With `inv = 1 / sqrt(var + eps)` and
//! `xhat = (x - mean) inv`, both give `xhat w + b`, or `xhat` alone where `affine` is 0. Every
//! operation is rounded on its own.
//!
//! Row weights (enumerated categories: one row per cell and category, weighted by its probability)
//! make the statistics `mean = sum_r v_r x_r / V` and `var = sum_r v_r (x_r - mean)^2 / V` with
//! `V = sum_r v_r`; they are constants to the gradient, which is, with `k_r = v_r / V` (without
//! weights: `1 / rows`),
//!
//! - `db = sum_r dy_r`, `dw = sum_r dy_r xhat_r`
//! - `dx_r = (w inv) (dy_r - k_r (db + xhat_r dw))`
//!
//! All inputs are contiguous from their own word offsets, outputs from element 0. Buffers that a
//! flag switches off are not read; bind any buffer in their place.
//!
//! Geometry: x = columns (statistics, gradient), elements (apply) or rows (layer). Summation order:
//! blocks over rows, lanes within a row (see `kernel::reduce`). Agreement: bits.
//! Cost: 4 bytes per element and pass; statistics read `x` twice.

use super::{Access, Access::*, Kernel};
use bytemuck::{Pod, Zeroable};

const fn entry(name: &'static str, bindings: &'static [Access]) -> Kernel {
    Kernel { name, bindings }
}

/// Mean and biased variance of each column, the variance from a second pass; params
/// [`BatchStatsParams`]; buffers `x`, `row_weights` `[rows]`, `mean` `[features]`, `var` `[features]`.
pub static BATCH_STATS: Kernel = entry("norm_batch_stats", &[Read, Read, Write, Write]);
/// `y` from given statistics, those of the batch or running ones; params [`BatchApplyParams`];
/// buffers `x`, `mean`, `var`, `w`, `b`, `y`.
pub static BATCH_APPLY: Kernel = entry("norm_batch_apply", &[Read, Read, Read, Read, Read, Write]);
/// `running = (1 - momentum) running + momentum batch`, the batch's variance times
/// `count / (count - 1)` (1 for counts up to 1); params [`BatchRunningParams`]; buffers `mean`,
/// `var`, `running_mean`, `running_var`.
pub static BATCH_RUNNING: Kernel = entry("norm_batch_running", &[Read, Read, Update, Update]);
/// Gradient through [`BATCH_STATS`] and [`BATCH_APPLY`]; params [`BatchGradParams`]; buffers `dy`,
/// `x`, `mean`, `var`, `w`, `row_weights`, `dx` `[rows, features]`, `dw` `[features]`, `db`
/// `[features]`.
pub static BATCH_GRAD: Kernel = entry("norm_batch_grad", &[Read, Read, Read, Read, Read, Read, Write, Write, Write]);
/// Layer normalisation; params [`LayerParams`]; buffers `x`, `w` `[n]`, `b` `[n]`, `y`.
pub static LAYER: Kernel = entry("norm_layer", &[Read, Read, Read, Write]);
/// Its gradient, statistics computed again: with `g = dy w`, `p = sum_j g / n`,
/// `q = sum_j g xhat / n` it is `dx = inv ((g - p) - xhat q)`, `dw = sum_r dy xhat`,
/// `db = sum_r dy`; params [`LayerParams`]; buffers `x`, `w`, `dy`, `dx` `[rows, n]`, `dw` `[n]`,
/// `db` `[n]`.
pub static LAYER_GRAD: Kernel = entry("norm_layer_grad", &[Read, Read, Read, Write, Write, Write]);

/// Parameters of [`BATCH_STATS`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct BatchStatsParams {
    /// First word of x.
    pub x_offset: u32,
    /// First word of the row weights.
    pub row_weights_offset: u32,
    /// Whether rows have weights.
    pub weighted: u32,
    /// Rows of x.
    pub rows: u32,
    /// Columns of x.
    pub features: u32,
}

/// Parameters of [`BATCH_APPLY`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct BatchApplyParams {
    /// First word of x.
    pub x_offset: u32,
    /// First word of the means.
    pub mean_offset: u32,
    /// First word of the variances.
    pub var_offset: u32,
    /// First word of the scales.
    pub w_offset: u32,
    /// First word of the shifts.
    pub b_offset: u32,
    /// Whether there are `w` and `b`.
    pub affine: u32,
    /// Rows of x.
    pub rows: u32,
    /// Columns of x.
    pub features: u32,
    /// Added to the variance.
    pub eps: f32,
}

/// Parameters of [`BATCH_RUNNING`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct BatchRunningParams {
    /// First word of the running means.
    pub mean_offset: u32,
    /// First word of the running variances.
    pub var_offset: u32,
    /// Number of features.
    pub features: u32,
    /// Weight of the batch.
    pub momentum: f32,
    /// Rows behind the statistics, or the sum of their weights.
    pub count: f32,
}

/// Parameters of [`BATCH_GRAD`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct BatchGradParams {
    /// First word of the result's gradient.
    pub dy_offset: u32,
    /// First word of x.
    pub x_offset: u32,
    /// First word of the means.
    pub mean_offset: u32,
    /// First word of the variances.
    pub var_offset: u32,
    /// First word of the scales.
    pub w_offset: u32,
    /// First word of the row weights.
    pub row_weights_offset: u32,
    /// Whether there is a `w`.
    pub affine: u32,
    /// Whether rows have weights.
    pub weighted: u32,
    /// Rows of x.
    pub rows: u32,
    /// Columns of x.
    pub features: u32,
    /// Added to the variance.
    pub eps: f32,
}

/// Parameters of [`LAYER`] and [`LAYER_GRAD`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct LayerParams {
    /// First word of x.
    pub x_offset: u32,
    /// First word of the scales.
    pub w_offset: u32,
    /// Of [`LAYER`] alone.
    pub b_offset: u32,
    /// Of [`LAYER_GRAD`] alone.
    pub dy_offset: u32,
    /// Whether there are `w` and `b`.
    pub affine: u32,
    /// Rows of x.
    pub rows: u32,
    /// Length of a row.
    pub n: u32,
    /// Added to the variance.
    pub eps: f32,
}
