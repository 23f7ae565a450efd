//! Definition of `kernel::norm`.

use super::reduce::{by_blocks, by_lanes};
use super::{Function, floats, floats_mut};
use crate::kernel::norm::*;
use crate::kernel::reduce::Reduce::Sum;
use crate::kernel::{Kernel, params};

/// The family's entries.
pub static KERNELS: [(&Kernel, Function); 6] = [
    (&BATCH_STATS, batch_stats),
    (&BATCH_APPLY, batch_apply),
    (&BATCH_RUNNING, batch_running),
    (&BATCH_GRAD, batch_grad),
    (&LAYER, layer),
    (&LAYER_GRAD, layer_grad),
];

fn batch_stats(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]]) {
    let p: BatchStatsParams = params(bytes);
    let x = &floats(inputs[0])[p.x_offset as usize..];
    let v = &floats(inputs[1])[if p.weighted != 0 { p.row_weights_offset as usize } else { 0 }..];
    let (rows, features) = (p.rows as usize, p.features as usize);
    let total = if p.weighted != 0 { by_blocks(Sum, rows, |r| v[r]) } else { rows as f32 };
    for f in 0..features {
        let at = |r: usize| x[r * features + f];
        let weigh = |r: usize, value: f32| if p.weighted != 0 { v[r] * value } else { value };
        let mean = by_blocks(Sum, rows, |r| weigh(r, at(r))) / total;
        let var = by_blocks(Sum, rows, |r| {
            let d = at(r) - mean;
            weigh(r, d * d)
        }) / total;
        floats_mut(outputs[0])[f] = mean;
        floats_mut(outputs[1])[f] = var;
    }
}

fn batch_apply(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]]) {
    let p: BatchApplyParams = params(bytes);
    let x = &floats(inputs[0])[p.x_offset as usize..];
    let mean = &floats(inputs[1])[p.mean_offset as usize..];
    let var = &floats(inputs[2])[p.var_offset as usize..];
    let features = p.features as usize;
    for i in 0..p.rows as usize * features {
        let f = i % features;
        let inv = 1.0 / (var[f] + p.eps).sqrt();
        let xhat = (x[i] - mean[f]) * inv;
        floats_mut(outputs[0])[i] = if p.affine != 0 {
            let w = floats(inputs[3])[p.w_offset as usize + f];
            let b = floats(inputs[4])[p.b_offset as usize + f];
            xhat * w + b
        } else {
            xhat
        };
    }
}

fn batch_running(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]]) {
    let p: BatchRunningParams = params(bytes);
    let factor = if p.count > 1.0 { p.count / (p.count - 1.0) } else { 1.0 };
    for f in 0..p.features as usize {
        let mean = floats(inputs[0])[p.mean_offset as usize + f];
        let var = floats(inputs[1])[p.var_offset as usize + f];
        let step = |running: &mut f32, batch: f32| *running = (1.0 - p.momentum) * *running + p.momentum * batch;
        step(&mut floats_mut(outputs[0])[f], mean);
        step(&mut floats_mut(outputs[1])[f], var * factor);
    }
}

fn batch_grad(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]]) {
    let p: BatchGradParams = params(bytes);
    let dy = &floats(inputs[0])[p.dy_offset as usize..];
    let x = &floats(inputs[1])[p.x_offset as usize..];
    let v = &floats(inputs[5])[if p.weighted != 0 { p.row_weights_offset as usize } else { 0 }..];
    let (rows, features) = (p.rows as usize, p.features as usize);
    let total = if p.weighted != 0 { by_blocks(Sum, rows, |r| v[r]) } else { rows as f32 };
    for f in 0..features {
        let mean = floats(inputs[2])[p.mean_offset as usize + f];
        let var = floats(inputs[3])[p.var_offset as usize + f];
        let inv = 1.0 / (var + p.eps).sqrt();
        let scale = if p.affine != 0 { floats(inputs[4])[p.w_offset as usize + f] * inv } else { inv };
        let dy = |r: usize| dy[r * features + f];
        let xhat = |r: usize| (x[r * features + f] - mean) * inv;
        let dw = by_blocks(Sum, rows, |r| dy(r) * xhat(r));
        let db = by_blocks(Sum, rows, dy);
        for r in 0..rows {
            let k = if p.weighted != 0 { v[r] / total } else { 1.0 / total };
            floats_mut(outputs[0])[r * features + f] = scale * (dy(r) - k * (db + xhat(r) * dw));
        }
        floats_mut(outputs[1])[f] = dw;
        floats_mut(outputs[2])[f] = db;
    }
}

/// Mean and `1 / sqrt(var + eps)` of a row.
fn row_stats(x: &[f32], eps: f32) -> (f32, f32) {
    let n = x.len() as f32;
    let mean = by_lanes(Sum, x.len(), |j| x[j]) / n;
    let var = by_lanes(Sum, x.len(), |j| (x[j] - mean) * (x[j] - mean)) / n;
    (mean, 1.0 / (var + eps).sqrt())
}

fn layer(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]]) {
    let p: LayerParams = params(bytes);
    let n = p.n as usize;
    for r in 0..p.rows as usize {
        let x = &floats(inputs[0])[p.x_offset as usize + r * n..][..n];
        let (mean, inv) = row_stats(x, p.eps);
        for j in 0..n {
            let xhat = (x[j] - mean) * inv;
            floats_mut(outputs[0])[r * n + j] = if p.affine != 0 {
                xhat * floats(inputs[1])[p.w_offset as usize + j] + floats(inputs[2])[p.b_offset as usize + j]
            } else {
                xhat
            };
        }
    }
}

fn layer_grad(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]]) {
    let p: LayerParams = params(bytes);
    let (rows, n) = (p.rows as usize, p.n as usize);
    let x = |r: usize, j: usize| floats(inputs[0])[p.x_offset as usize + r * n + j];
    let dy = |r: usize, j: usize| floats(inputs[2])[p.dy_offset as usize + r * n + j];
    let stats: Vec<(f32, f32)> =
        (0..rows).map(|r| row_stats(&floats(inputs[0])[p.x_offset as usize + r * n..][..n], p.eps)).collect();
    let xhat = |r: usize, j: usize| (x(r, j) - stats[r].0) * stats[r].1;
    for r in 0..rows {
        let g = |j: usize| {
            if p.affine != 0 { dy(r, j) * floats(inputs[1])[p.w_offset as usize + j] } else { dy(r, j) }
        };
        let mean_g = by_lanes(Sum, n, g) / n as f32;
        let mean_gx = by_lanes(Sum, n, |j| g(j) * xhat(r, j)) / n as f32;
        for j in 0..n {
            floats_mut(outputs[0])[r * n + j] = stats[r].1 * ((g(j) - mean_g) - xhat(r, j) * mean_gx);
        }
    }
    for j in 0..n {
        floats_mut(outputs[1])[j] = by_blocks(Sum, rows, |r| dy(r, j) * xhat(r, j));
        floats_mut(outputs[2])[j] = by_blocks(Sum, rows, |r| dy(r, j));
    }
}
