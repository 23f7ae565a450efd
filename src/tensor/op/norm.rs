//! Forward of row functions and normalisations, and their fused gradients.

use super::view::dense;
use super::{Op, apply};
use crate::error::{Error, Result};
use crate::kernel::Kernel;
use crate::kernel::norm::*;
use crate::kernel::softmax::*;
use crate::tensor::{Dtype, Tensor, shape};

/// A contiguous copy with the rows and length of its last axis.
fn rows(op: &'static str, x: &Tensor) -> Result<(Tensor, usize, usize)> {
    let Some(axis) = x.rank().checked_sub(1) else {
        return Err(Error::Shape { op, expected: "at least one axis".into(), found: "[]".into() });
    };
    let x = dense(op, x)?;
    let (rows, n) = (shape::numel(&x.shape()[..axis]), x.size(axis));
    Ok((x, rows, n))
}

fn by_row(op: &'static str, kernel: &'static Kernel, x: &Tensor, keep: bool) -> Result<Tensor> {
    let (x, rows, n) = rows(op, x)?;
    let to = if keep { x.shape() } else { &x.shape()[..x.rank() - 1] };
    let out = Tensor::uninit(op, to, Dtype::F32, x.device())?;
    let params = SoftmaxParams { offset: x.offset() as u32, rows: rows as u32, n: n as u32 };
    x.device().launch(kernel, &params, &[x.storage(), out.storage()], [rows as u32, 1, 1])?;
    Ok(out)
}

pub fn softmax(x: &Tensor) -> Result<Tensor> {
    by_row("softmax", &SOFTMAX, x, true)
}

pub fn log_softmax(x: &Tensor) -> Result<Tensor> {
    by_row("log_softmax", &LOG, x, true)
}

pub fn logsumexp(x: &Tensor) -> Result<Tensor> {
    by_row("logsumexp", &LSE, x, false)
}

fn logits_and_targets(z: &Tensor, t: &Tensor) -> Result<(Tensor, Tensor, CrossEntropyParams)> {
    let op = "cross_entropy";
    let (z, rows, n) = rows(op, z)?;
    if z.rank() != 2 {
        return Err(Error::Shape { op, expected: "logits [rows, classes]".into(), found: format!("{:?}", z.shape()) });
    }
    let t = dense(op, t)?;
    t.expect_shape(op, z.shape())?;
    let params = CrossEntropyParams {
        logits_offset: z.offset() as u32,
        targets_offset: t.offset() as u32,
        upstream_offset: 0,
        rows: rows as u32,
        n: n as u32,
    };
    Ok((z, t, params))
}

pub fn cross_entropy(z: &Tensor, t: &Tensor) -> Result<Tensor> {
    let (z, t, params) = logits_and_targets(z, t)?;
    let out = Tensor::uninit("cross_entropy", &z.shape()[..1], Dtype::F32, z.device())?;
    let buffers = [z.storage(), t.storage(), out.storage()];
    z.device().launch(&CROSS_ENTROPY, &params, &buffers, [params.rows, 1, 1])?;
    Ok(out)
}

/// Gradient with respect to the logits, `g` `[rows]`; in one pass, off the tape.
pub fn cross_entropy_grad(z: &Tensor, t: &Tensor, g: &Tensor) -> Result<Tensor> {
    let (z, t, mut params) = logits_and_targets(z, t)?;
    let g = dense("cross_entropy", g)?;
    params.upstream_offset = g.offset() as u32;
    let out = Tensor::uninit("cross_entropy", z.shape(), Dtype::F32, z.device())?;
    let buffers = [z.storage(), t.storage(), g.storage(), out.storage()];
    z.device().launch(&CROSS_ENTROPY_GRAD, &params, &buffers, [params.rows, 1, 1])?;
    Ok(out)
}

/// Mean and biased variance per feature of `[rows, features]`.
pub struct BatchStats {
    pub mean: Tensor,
    pub var: Tensor,
}

fn columns(x: &Tensor) -> Result<Tensor> {
    let op = "batch_norm";
    if x.rank() != 2 {
        return Err(Error::Shape { op, expected: "[rows, features]".into(), found: format!("{:?}", x.shape()) });
    }
    dense(op, x)
}

pub fn batch_stats(x: &Tensor) -> Result<BatchStats> {
    let x = columns(x)?;
    let (rows, features) = (x.size(0), x.size(1));
    let mean = Tensor::uninit("batch_norm", &[features], Dtype::F32, x.device())?;
    let var = Tensor::uninit("batch_norm", &[features], Dtype::F32, x.device())?;
    let params = BatchStatsParams {
        x_offset: x.offset() as u32,
        row_weights_offset: 0,
        weighted: 0,
        rows: rows as u32,
        features: features as u32,
    };
    let buffers = [x.storage(), x.storage(), mean.storage(), var.storage()];
    x.device().launch(&BATCH_STATS, &params, &buffers, [features as u32, 1, 1])?;
    Ok(BatchStats { mean, var })
}

/// Moves running statistics, in place, towards those of a batch of `count` rows.
pub fn batch_running(batch: &BatchStats, mean: &Tensor, var: &Tensor, momentum: f32, count: usize) -> Result<()> {
    let features = mean.numel() as u32;
    let params = BatchRunningParams { mean_offset: 0, var_offset: 0, features, momentum, count: count as f32 };
    let buffers = [batch.mean.storage(), batch.var.storage(), mean.storage(), var.storage()];
    mean.device().launch(&BATCH_RUNNING, &params, &buffers, [features, 1, 1])
}

/// With the batch's own statistics, made by [`batch_stats`].
pub fn batch_norm(x: &Tensor, w: &Tensor, b: &Tensor, stats: [&Tensor; 2], eps: f32) -> Result<Tensor> {
    let x = columns(x)?;
    let (w, b) = (dense("batch_norm", w)?, dense("batch_norm", b)?);
    w.expect_shape("batch_norm", &x.shape()[1..])?;
    b.expect_shape("batch_norm", &x.shape()[1..])?;
    let out = Tensor::uninit("batch_norm", x.shape(), Dtype::F32, x.device())?;
    let params = BatchApplyParams {
        x_offset: x.offset() as u32,
        mean_offset: 0,
        var_offset: 0,
        w_offset: w.offset() as u32,
        b_offset: b.offset() as u32,
        affine: 1,
        rows: x.size(0) as u32,
        features: x.size(1) as u32,
        eps,
    };
    let buffers = [&x, stats[0], stats[1], &w, &b, &out].map(Tensor::storage);
    x.device().launch(&BATCH_APPLY, &params, &buffers, [out.numel() as u32, 1, 1])?;
    Ok(out)
}

/// Gradients of [`batch_norm`] with respect to x, w, b, off the tape.
pub fn batch_norm_grad(
    x: &Tensor,
    w: &Tensor,
    stats: [&Tensor; 2],
    g: &Tensor,
    eps: f32,
) -> Result<Vec<Option<Tensor>>> {
    let x = columns(x)?;
    let (w, g) = (dense("batch_norm", w)?, dense("batch_norm", g)?);
    let like = |shape: &[usize]| Tensor::uninit("batch_norm", shape, Dtype::F32, x.device());
    let (dx, dw, db) = (like(x.shape())?, like(w.shape())?, like(w.shape())?);
    let params = BatchGradParams {
        dy_offset: g.offset() as u32,
        x_offset: x.offset() as u32,
        mean_offset: 0,
        var_offset: 0,
        w_offset: w.offset() as u32,
        row_weights_offset: 0,
        affine: 1,
        weighted: 0,
        rows: x.size(0) as u32,
        features: x.size(1) as u32,
        eps,
    };
    let buffers = [&g, &x, stats[0], stats[1], &w, &x, &dx, &dw, &db].map(Tensor::storage);
    x.device().launch(&BATCH_GRAD, &params, &buffers, [params.features, 1, 1])?;
    Ok(vec![Some(dx), Some(dw), Some(db)])
}

pub fn layer_norm(x: &Tensor, w: &Tensor, b: &Tensor, eps: f32) -> Result<Tensor> {
    let (x, rows, n) = rows("layer_norm", x)?;
    let (w, b) = (dense("layer_norm", w)?, dense("layer_norm", b)?);
    w.expect_shape("layer_norm", &[n])?;
    b.expect_shape("layer_norm", &[n])?;
    let out = Tensor::uninit("layer_norm", x.shape(), Dtype::F32, x.device())?;
    let params = layer_params(&x, &w, rows, n, eps);
    let params = LayerParams { b_offset: b.offset() as u32, ..params };
    let buffers = [&x, &w, &b, &out].map(Tensor::storage);
    x.device().launch(&LAYER, &params, &buffers, [rows as u32, 1, 1])?;
    Ok(out)
}

fn layer_params(x: &Tensor, w: &Tensor, rows: usize, n: usize, eps: f32) -> LayerParams {
    LayerParams {
        x_offset: x.offset() as u32,
        w_offset: w.offset() as u32,
        b_offset: 0,
        dy_offset: 0,
        affine: 1,
        rows: rows as u32,
        n: n as u32,
        eps,
    }
}

/// Gradients of [`layer_norm`] with respect to x, w, b, off the tape.
pub fn layer_norm_grad(x: &Tensor, w: &Tensor, g: &Tensor, eps: f32) -> Result<Vec<Option<Tensor>>> {
    let (x, rows, n) = rows("layer_norm", x)?;
    let (w, g) = (dense("layer_norm", w)?, dense("layer_norm", g)?);
    let like = |shape: &[usize]| Tensor::uninit("layer_norm", shape, Dtype::F32, x.device());
    let (dx, dw, db) = (like(x.shape())?, like(w.shape())?, like(w.shape())?);
    let params = LayerParams { dy_offset: g.offset() as u32, ..layer_params(&x, &w, rows, n, eps) };
    let buffers = [&x, &w, &g, &dx, &dw, &db].map(Tensor::storage);
    x.device().launch(&LAYER_GRAD, &params, &buffers, [rows as u32, 1, 1])?;
    Ok(vec![Some(dx), Some(dw), Some(db)])
}

/// Batch normalisation with the batch's own statistics that moves running ones, in place:
/// `running <- (1 - momentum) running + momentum batch`, the variance unbiased.
pub fn batch_norm_with_running(
    x: &Tensor,
    w: &Tensor,
    b: &Tensor,
    eps: f32,
    mean: &Tensor,
    var: &Tensor,
    momentum: f32,
) -> Result<Tensor> {
    let stats = batch_stats(x)?;
    batch_running(&stats, mean, var, momentum, x.size(0))?;
    apply(Op::BatchNorm { eps }, &[x, w, b, &stats.mean, &stats.var])
}
