//! Fast form of `kernel::norm`: tiles of columns for the sums over rows, groups of 16 within rows.

use super::sums::{Columns, Groups, Row, Sum, by_blocks, by_lanes};
use super::wide::{WIDTH, Wide, load, store};
use super::{Function, Threads};
use crate::kernel::norm::*;
use crate::kernel::{Kernel, params};
use crate::reference::{floats, floats_mut};
use crate::{simd_fn, wide_fn};

/// The family's entries.
pub static KERNELS: [(&Kernel, Function); 6] = [
    (&BATCH_STATS, batch_stats),
    (&BATCH_APPLY, batch_apply),
    (&BATCH_RUNNING, batch_running),
    (&BATCH_GRAD, batch_grad),
    (&LAYER, layer),
    (&LAYER_GRAD, layer_grad),
];

simd_fn! {
    fn column_sums<C: Columns>(columns: &C, rows: usize, c: usize, out: &mut [f32]) {
        by_blocks::<Sum>(columns, rows, c, out);
    }
}

/// The sum of the weights, or the number of rows.
fn weight(v: Option<&[f32]>, rows: usize) -> f32 {
    let Some(v) = v else { return rows as f32 };
    let mut total = [0.0];
    column_sums(&Plain { x: v, width: 1, v: None }, rows, 0, &mut total);
    total[0]
}

/// Terms `x`, or `v_r x`.
struct Plain<'a> {
    x: &'a [f32],
    width: usize,
    v: Option<&'a [f32]>,
}

impl Columns for Plain<'_> {
    #[inline(always)]
    fn add(&self, r: usize, c: usize, acc: &mut [f32]) {
        let x = &self.x[r * self.width + c..][..acc.len()];
        match self.v {
            None => acc.iter_mut().zip(x).for_each(|(a, x)| *a += x),
            Some(v) => acc.iter_mut().zip(x).for_each(|(a, x)| *a += v[r] * x),
        }
    }
}

/// Terms `(x - mean)^2`, or `v_r (x - mean)^2`. `mean[0]` belongs to column `first`.
struct Squares<'a> {
    x: Plain<'a>,
    mean: &'a [f32],
    first: usize,
}

impl Columns for Squares<'_> {
    #[inline(always)]
    fn add(&self, r: usize, c: usize, acc: &mut [f32]) {
        let x = &self.x.x[r * self.x.width + c..][..acc.len()];
        let mean = &self.mean[c - self.first..][..acc.len()];
        match self.x.v {
            None => acc.iter_mut().zip(x).zip(mean).for_each(|((a, x), m)| *a += (x - m) * (x - m)),
            Some(v) => acc.iter_mut().zip(x).zip(mean).for_each(|((a, x), m)| *a += v[r] * ((x - m) * (x - m))),
        }
    }
}

/// Terms `dy xhat` with `xhat` by column statistics.
struct ByColumn<'a> {
    dy: &'a [f32],
    x: &'a [f32],
    width: usize,
    mean: &'a [f32],
    inv: &'a [f32],
}

impl Columns for ByColumn<'_> {
    #[inline(always)]
    fn add(&self, r: usize, c: usize, acc: &mut [f32]) {
        let n = acc.len();
        let (dy, x) = (&self.dy[r * self.width + c..][..n], &self.x[r * self.width + c..][..n]);
        let (mean, inv) = (&self.mean[c..][..n], &self.inv[c..][..n]);
        for i in 0..n {
            acc[i] += dy[i] * ((x[i] - mean[i]) * inv[i]);
        }
    }
}

/// Terms `dy xhat` with `xhat` by row statistics (mean, inv).
struct ByRow<'a> {
    dy: &'a [f32],
    x: &'a [f32],
    width: usize,
    stats: &'a [[f32; 2]],
}

impl Columns for ByRow<'_> {
    #[inline(always)]
    fn add(&self, r: usize, c: usize, acc: &mut [f32]) {
        let n = acc.len();
        let (dy, x) = (&self.dy[r * self.width + c..][..n], &self.x[r * self.width + c..][..n]);
        let [mean, inv] = self.stats[r];
        for i in 0..n {
            acc[i] += dy[i] * ((x[i] - mean) * inv);
        }
    }
}

fn batch_stats(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]], threads: &Threads) {
    let p: BatchStatsParams = params(bytes);
    let (rows, features) = (p.rows as usize, p.features as usize);
    let x = &floats(inputs[0])[p.x_offset as usize..];
    let v = (p.weighted != 0).then(|| &floats(inputs[1])[p.row_weights_offset as usize..][..rows]);
    let total = weight(v, rows);
    let (mean, var) = outputs.split_at_mut(1);
    let (mean, var) = (&mut floats_mut(mean[0])[..features], &mut floats_mut(var[0])[..features]);
    threads.rows(mean, 1, rows, WIDTH, |c, out| {
        column_sums(&Plain { x, width: features, v }, rows, c, out);
        out.iter_mut().for_each(|o| *o /= total);
    });
    threads.rows(var, 1, 2 * rows, WIDTH, |c, out| {
        let columns = Squares { x: Plain { x, width: features, v }, mean: &mean[c..], first: c };
        column_sums(&columns, rows, c, out);
        out.iter_mut().for_each(|o| *o /= total);
    });
}

/// `1 / sqrt(var + eps)`
fn inverses(var: &[f32], eps: f32) -> Vec<f32> {
    var.iter().map(|v| 1.0 / (v + eps).sqrt()).collect()
}

simd_fn! {
    fn apply_rows(x: &[f32], mean: &[f32], inv: &[f32], affine: Option<[&[f32]; 2]>, out: &mut [f32]) {
        let n = mean.len();
        for (out, x) in out.chunks_mut(n).zip(x.chunks(n)) {
            // Slices of one known length, so that no index is checked in the loop.
            let (x, mean, inv) = (&x[..n], &mean[..n], &inv[..n]);
            let out = &mut out[..n];
            match affine {
                None => (0..n).for_each(|i| out[i] = (x[i] - mean[i]) * inv[i]),
                Some([w, b]) => {
                    let (w, b) = (&w[..n], &b[..n]);
                    (0..n).for_each(|i| out[i] = (x[i] - mean[i]) * inv[i] * w[i] + b[i]);
                }
            }
        }
    }
}

fn batch_apply(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]], threads: &Threads) {
    let p: BatchApplyParams = params(bytes);
    let (rows, features) = (p.rows as usize, p.features as usize);
    let part = |i: usize, offset: u32| &floats(inputs[i])[offset as usize..][..features];
    let x = &floats(inputs[0])[p.x_offset as usize..];
    let mean = part(1, p.mean_offset);
    let inv = inverses(part(2, p.var_offset), p.eps);
    let affine = (p.affine != 0).then(|| [part(3, p.w_offset), part(4, p.b_offset)]);
    threads.rows(&mut floats_mut(outputs[0])[..rows * features], features, 2 * features, 1, |first, out| {
        apply_rows(&x[first * features..], mean, &inv, affine, out);
    });
}

fn batch_running(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]], _: &Threads) {
    let p: BatchRunningParams = params(bytes);
    let features = p.features as usize;
    let factor = if p.count > 1.0 { p.count / (p.count - 1.0) } else { 1.0 };
    let keep = 1.0 - p.momentum;
    let mean = &floats(inputs[0])[p.mean_offset as usize..];
    for (running, batch) in floats_mut(outputs[0])[..features].iter_mut().zip(mean) {
        *running = keep * *running + p.momentum * batch;
    }
    let var = &floats(inputs[1])[p.var_offset as usize..];
    for (running, batch) in floats_mut(outputs[1])[..features].iter_mut().zip(var) {
        *running = keep * *running + p.momentum * (batch * factor);
    }
}

/// What the gradient of batch normalisation needs of each column.
struct BatchColumns<'a> {
    mean: &'a [f32],
    inv: &'a [f32],
    scale: &'a [f32],
    dw: &'a [f32],
    db: &'a [f32],
}

simd_fn! {
    fn batch_grad_row(dy: &[f32], x: &[f32], k: f32, c: &BatchColumns<'_>, out: &mut [f32]) {
        let n = out.len();
        let (dy, x, mean, inv) = (&dy[..n], &x[..n], &c.mean[..n], &c.inv[..n]);
        let (scale, dw, db) = (&c.scale[..n], &c.dw[..n], &c.db[..n]);
        for i in 0..n {
            let xhat = (x[i] - mean[i]) * inv[i];
            out[i] = scale[i] * (dy[i] - k * (db[i] + xhat * dw[i]));
        }
    }
}

fn batch_grad(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]], threads: &Threads) {
    let p: BatchGradParams = params(bytes);
    let (rows, features) = (p.rows as usize, p.features as usize);
    let part = |i: usize, offset: u32| &floats(inputs[i])[offset as usize..][..features];
    let dy = &floats(inputs[0])[p.dy_offset as usize..];
    let x = &floats(inputs[1])[p.x_offset as usize..];
    let mean = part(2, p.mean_offset);
    let inv = inverses(part(3, p.var_offset), p.eps);
    let v = (p.weighted != 0).then(|| &floats(inputs[5])[p.row_weights_offset as usize..][..rows]);
    let total = weight(v, rows);
    let [dx, dw, db] = outputs else { unreachable!("three outputs are bound") };
    let (dx, dw, db) = (floats_mut(dx), &mut floats_mut(dw)[..features], &mut floats_mut(db)[..features]);
    threads.rows(dw, 1, 3 * rows, WIDTH, |c, out| {
        column_sums(&ByColumn { dy, x, width: features, mean, inv: &inv }, rows, c, out);
    });
    threads.rows(db, 1, rows, WIDTH, |c, out| column_sums(&Plain { x: dy, width: features, v: None }, rows, c, out));
    let mut scale = inv.clone();
    if p.affine != 0 {
        scale.iter_mut().zip(part(4, p.w_offset)).for_each(|(s, w)| *s *= w);
    }
    let columns = BatchColumns { mean, inv: &inv, scale: &scale, dw, db };
    threads.rows(&mut dx[..rows * features], features, 4 * features, 1, |first, out| {
        for (r, out) in out.chunks_mut(features).enumerate() {
            let r = first + r;
            let k = v.map_or(1.0, |v| v[r]) / total;
            batch_grad_row(&dy[r * features..], &x[r * features..], k, &columns, out);
        }
    });
}

/// `(x - mean)^2`
struct RowSquares<'a> {
    x: &'a [f32],
    mean: f32,
}

impl Groups for RowSquares<'_> {
    #[inline(always)]
    unsafe fn group<V: Wide>(&self, start: usize, count: usize) -> V {
        // SAFETY: passed on to the caller.
        unsafe {
            let d = load::<V>(self.x, start, count, 0.0).sub(V::splat(self.mean));
            d.mul(d).keep_first(count)
        }
    }
}

/// Mean and `1 / sqrt(var + eps)` of a row.
///
/// # Safety
/// The processor has the instructions of `V`.
#[inline(always)]
unsafe fn row_stats<V: Wide>(x: &[f32], eps: f32) -> [f32; 2] {
    let n = x.len();
    // SAFETY: passed on to the caller.
    let mean = unsafe { by_lanes::<Sum, V>(n, &Row { x, pad: 0.0 }) } / n as f32;
    // SAFETY: passed on to the caller.
    let squares = unsafe { by_lanes::<Sum, V>(n, &RowSquares { x, mean }) };
    [mean, 1.0 / (squares / n as f32 + eps).sqrt()]
}

wide_fn! {
    fn stats_rows<V>(x: &[f32], n: usize, eps: f32, out: &mut [[f32; 2]]) {
        for (r, o) in out.iter_mut().enumerate() {
            *o = row_stats::<V>(&x[r * n..][..n], eps);
        }
    }
}

wide_fn! {
    fn layer_rows<V>(x: &[f32], n: usize, eps: f32, affine: Option<[&[f32]; 2]>, out: &mut [f32]) {
        for (r, out) in out.chunks_mut(n).enumerate() {
            let x = &x[r * n..][..n];
            let [mean, inv] = row_stats::<V>(x, eps);
            for start in (0..n).step_by(WIDTH) {
                let count = n - start;
                let mut y = load::<V>(x, start, count, 0.0).sub(V::splat(mean)).mul(V::splat(inv));
                if let Some([w, b]) = affine {
                    y = y.mul(load(w, start, count, 0.0)).add(load(b, start, count, 0.0));
                }
                store(out, start, count, y);
            }
        }
    }
}

fn layer(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]], threads: &Threads) {
    let p: LayerParams = params(bytes);
    let (rows, n) = (p.rows as usize, p.n as usize);
    let x = &floats(inputs[0])[p.x_offset as usize..];
    let affine =
        (p.affine != 0).then(|| [&floats(inputs[1])[p.w_offset as usize..], &floats(inputs[2])[p.b_offset as usize..]]);
    threads.rows(&mut floats_mut(outputs[0])[..rows * n], n, 4 * n, 1, |first, out| {
        layer_rows(&x[first * n..], n, p.eps, affine, out);
    });
}

/// A row of the gradient of layer normalisation.
struct GradRow<'a> {
    dy: &'a [f32],
    x: &'a [f32],
    w: Option<&'a [f32]>,
    stats: [f32; 2],
}

impl GradRow<'_> {
    /// # Safety
    /// The processor has the instructions of `V`.
    #[inline(always)]
    unsafe fn xhat<V: Wide>(&self, start: usize, count: usize) -> V {
        let [mean, inv] = self.stats;
        // SAFETY: passed on to the caller.
        unsafe { load::<V>(self.x, start, count, 0.0).sub(V::splat(mean)).mul(V::splat(inv)) }
    }
}

/// `g = dy w`
impl Groups for GradRow<'_> {
    #[inline(always)]
    unsafe fn group<V: Wide>(&self, start: usize, count: usize) -> V {
        // SAFETY: passed on to the caller.
        unsafe {
            let dy: V = load(self.dy, start, count, 0.0);
            self.w.map_or(dy, |w| dy.mul(load(w, start, count, 0.0)))
        }
    }
}

/// `g xhat`
struct Slope<'a>(&'a GradRow<'a>);

impl Groups for Slope<'_> {
    #[inline(always)]
    unsafe fn group<V: Wide>(&self, start: usize, count: usize) -> V {
        // SAFETY: passed on to the caller.
        unsafe { self.0.group::<V>(start, count).mul(self.0.xhat(start, count)).keep_first(count) }
    }
}

wide_fn! {
    fn layer_grad_rows<V>(dy: &[f32], x: &[f32], w: Option<&[f32]>, n: usize, stats: &[[f32; 2]], out: &mut [f32]) {
        for (r, out) in out.chunks_mut(n).enumerate() {
            let row = GradRow { dy: &dy[r * n..][..n], x: &x[r * n..][..n], w, stats: stats[r] };
            let mean_g = V::splat(by_lanes::<Sum, V>(n, &row) / n as f32);
            let mean_gx = V::splat(by_lanes::<Sum, V>(n, &Slope(&row)) / n as f32);
            let inv = V::splat(stats[r][1]);
            for start in (0..n).step_by(WIDTH) {
                let count = n - start;
                let (g, xhat) = (row.group::<V>(start, count), row.xhat::<V>(start, count));
                store(out, start, count, inv.mul(g.sub(mean_g).sub(xhat.mul(mean_gx))));
            }
        }
    }
}

fn layer_grad(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]], threads: &Threads) {
    let p: LayerParams = params(bytes);
    let (rows, n) = (p.rows as usize, p.n as usize);
    let x = &floats(inputs[0])[p.x_offset as usize..];
    let dy = &floats(inputs[2])[p.dy_offset as usize..];
    let w = (p.affine != 0).then(|| &floats(inputs[1])[p.w_offset as usize..]);
    let mut stats = vec![[0.0f32; 2]; rows];
    threads.rows(&mut stats, 1, 4 * n, 1, |first, out| stats_rows(&x[first * n..], n, p.eps, out));
    let [dx, dw, db] = outputs else { unreachable!("three outputs are bound") };
    threads.rows(&mut floats_mut(dx)[..rows * n], n, 8 * n, 1, |first, out| {
        layer_grad_rows(&dy[first * n..], &x[first * n..], w, n, &stats[first..], out);
    });
    threads.rows(&mut floats_mut(dw)[..n], 1, 3 * rows, WIDTH, |c, out| {
        column_sums(&ByRow { dy, x, width: n, stats: &stats }, rows, c, out);
    });
    threads.rows(&mut floats_mut(db)[..n], 1, rows, WIDTH, |c, out| {
        column_sums(&Plain { x: dy, width: n, v: None }, rows, c, out);
    });
}
