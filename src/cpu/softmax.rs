//! Fast form of `kernel::softmax`, a few rows at a time: the rows' extremes and sums by vector
//! registers, the exponentials in one flat loop over all of them.

use super::sums::{Groups, Max, Row, Sum, by_lanes, rows as row_folds};
use super::wide::{WIDTH, Wide, load, store};
use super::{Function, Threads};
use crate::kernel::softmax::*;
use crate::kernel::{Kernel, params};
use crate::reference::{floats, floats_mut};
use crate::{math, simd_fn, wide_fn};

/// The family's entries.
pub static KERNELS: [(&Kernel, Function); 5] = [
    (&SOFTMAX, softmax),
    (&LOG, log),
    (&LSE, lse),
    (&CROSS_ENTROPY, cross_entropy),
    (&CROSS_ENTROPY_GRAD, cross_entropy_grad),
];

/// Scalar operations per element, about.
const WORK: usize = 16;

/// Most rows of a block.
const ROWS: usize = 256;

/// Rows of a block: few enough that it stays in the first cache.
fn block_rows(n: usize) -> usize {
    (4096 / n.max(1)).clamp(1, ROWS)
}

simd_fn! {
    fn exp_all(x: &mut [f32]) {
        for v in x {
            *v = math::exp(*v);
        }
    }
}

simd_fn! {
    fn ln_all(x: &mut [f32]) {
        for v in x {
            *v = math::ln(*v);
        }
    }
}

wide_fn! {
    /// `m[r]` = the row's maximum, and `out` = `x - m[r]`.
    fn centre<V>(x: &[f32], n: usize, m: &mut [f32], out: &mut [f32]) {
        for (r, m) in m.iter_mut().enumerate() {
            let (x, out) = (&x[r * n..][..n], &mut out[r * n..][..n]);
            *m = by_lanes::<Max, V>(n, &Row { x, pad: f32::NEG_INFINITY });
            shift(x, V::splat(*m), out);
        }
    }
}

wide_fn! {
    /// The same with 0 for an infinite maximum.
    fn centre_finite<V>(x: &[f32], n: usize, m: &mut [f32], out: &mut [f32]) {
        for (r, m) in m.iter_mut().enumerate() {
            let (x, out) = (&x[r * n..][..n], &mut out[r * n..][..n]);
            let max = by_lanes::<Max, V>(n, &Row { x, pad: f32::NEG_INFINITY });
            *m = if max.is_infinite() { 0.0 } else { max };
            shift(x, V::splat(*m), out);
        }
    }
}

/// # Safety
/// The processor has the instructions of `V`.
#[inline(always)]
unsafe fn shift<V: Wide>(x: &[f32], m: V, out: &mut [f32]) {
    for start in (0..x.len()).step_by(WIDTH) {
        let count = x.len() - start;
        // SAFETY: passed on to the caller.
        unsafe { store(out, start, count, load::<V>(x, start, count, 0.0).sub(m)) };
    }
}

wide_fn! {
    fn divide<V>(sums: &[f32], n: usize, out: &mut [f32]) {
        for (sum, out) in sums.iter().zip(out.chunks_mut(n)) {
            let sum = V::splat(*sum);
            for start in (0..n).step_by(WIDTH) {
                store(out, start, n - start, load::<V>(out, start, n - start, 1.0).div(sum));
            }
        }
    }
}

wide_fn! {
    /// `out = (x - m[r]) - ln_sum[r]`
    fn log_of<V>(x: &[f32], n: usize, m: &[f32], ln_sum: &[f32], out: &mut [f32]) {
        for (r, out) in out.chunks_mut(n).enumerate() {
            let (x, m, ln_sum) = (&x[r * n..][..n], V::splat(m[r]), V::splat(ln_sum[r]));
            for start in (0..n).step_by(WIDTH) {
                store(out, start, n - start, load::<V>(x, start, n - start, 0.0).sub(m).sub(ln_sum));
            }
        }
    }
}

/// `t (x - m - ln_sum)`, or 0 where `t` is 0.
struct Terms<'a> {
    x: &'a [f32],
    t: &'a [f32],
    m: f32,
    ln_sum: f32,
}

impl Groups for Terms<'_> {
    #[inline(always)]
    unsafe fn group<V: Wide>(&self, start: usize, count: usize) -> V {
        // SAFETY: passed on to the caller.
        unsafe {
            let t: V = load(self.t, start, count, 0.0);
            let log = load::<V>(self.x, start, count, 0.0).sub(V::splat(self.m)).sub(V::splat(self.ln_sum));
            t.mul(log).zero_where_zero(t)
        }
    }
}

wide_fn! {
    fn losses<V>(x: &[f32], t: &[f32], n: usize, m: &[f32], ln_sum: &[f32], out: &mut [f32]) {
        for (r, o) in out.iter_mut().enumerate() {
            let (x, t) = (&x[r * n..][..n], &t[r * n..][..n]);
            *o = 0.0 - by_lanes::<Sum, V>(n, &Terms { x, t, m: m[r], ln_sum: ln_sum[r] });
        }
    }
}

wide_fn! {
    /// `out = upstream[r] (out / sums[r] totals[r] - t)`
    fn slopes<V>(t: &[f32], n: usize, upstream: &[f32], sums: &[f32], totals: &[f32], out: &mut [f32]) {
        for (r, out) in out.chunks_mut(n).enumerate() {
            let t = &t[r * n..][..n];
            let (u, sum, total) = (V::splat(upstream[r]), V::splat(sums[r]), V::splat(totals[r]));
            for start in (0..n).step_by(WIDTH) {
                let p = load::<V>(out, start, n - start, 1.0).div(sum);
                let t = load::<V>(t, start, n - start, 0.0);
                store(out, start, n - start, u.mul(p.mul(total).sub(t)));
            }
        }
    }
}

fn softmax_rows(x: &[f32], n: usize, out: &mut [f32]) {
    let (mut m, mut sums) = ([0.0; ROWS], [0.0; ROWS]);
    let step = block_rows(n);
    for (out, x) in out.chunks_mut(step * n).zip(x.chunks(step * n)) {
        let rows = out.len() / n;
        centre(x, n, &mut m[..rows], out);
        exp_all(out);
        row_folds::<Sum>(out, n, &mut sums[..rows]);
        divide(&sums, n, out);
    }
}

fn log_rows(x: &[f32], n: usize, out: &mut [f32]) {
    let (mut m, mut sums) = ([0.0; ROWS], [0.0; ROWS]);
    let step = block_rows(n);
    for (out, x) in out.chunks_mut(step * n).zip(x.chunks(step * n)) {
        let rows = out.len() / n;
        centre(x, n, &mut m[..rows], out);
        exp_all(out);
        row_folds::<Sum>(out, n, &mut sums[..rows]);
        ln_all(&mut sums[..rows]);
        log_of(x, n, &m, &sums, out);
    }
}

fn lse_rows(x: &[f32], n: usize, out: &mut [f32]) {
    let mut m = [0.0; ROWS];
    let step = block_rows(n);
    let mut scratch = vec![0.0; n * step.min(out.len())];
    for (b, out) in out.chunks_mut(step).enumerate() {
        let rows = out.len();
        let scratch = &mut scratch[..rows * n];
        centre_finite(&x[b * step * n..], n, &mut m[..rows], scratch);
        exp_all(scratch);
        row_folds::<Sum>(scratch, n, out);
        ln_all(out);
        out.iter_mut().zip(&m).for_each(|(o, m)| *o += m);
    }
}

fn cross_entropy_rows(x: &[f32], t: &[f32], n: usize, out: &mut [f32]) {
    let (mut m, mut sums) = ([0.0; ROWS], [0.0; ROWS]);
    let step = block_rows(n);
    let mut scratch = vec![0.0; n * step.min(out.len())];
    for (b, out) in out.chunks_mut(step).enumerate() {
        let (rows, start) = (out.len(), b * step * n);
        let scratch = &mut scratch[..rows * n];
        centre(&x[start..], n, &mut m[..rows], scratch);
        exp_all(scratch);
        row_folds::<Sum>(scratch, n, &mut sums[..rows]);
        ln_all(&mut sums[..rows]);
        losses(&x[start..], &t[start..], n, &m, &sums, out);
    }
}

fn grad_rows(x: &[f32], t: &[f32], upstream: &[f32], n: usize, out: &mut [f32]) {
    let (mut m, mut sums, mut totals) = ([0.0; ROWS], [0.0; ROWS], [0.0; ROWS]);
    let step = block_rows(n);
    for (b, out) in out.chunks_mut(step * n).enumerate() {
        let (rows, start) = (out.len() / n, b * step * n);
        centre(&x[start..], n, &mut m[..rows], out);
        exp_all(out);
        row_folds::<Sum>(out, n, &mut sums[..rows]);
        row_folds::<Sum>(&t[start..], n, &mut totals[..rows]);
        slopes(&t[start..], n, &upstream[b * step..], &sums, &totals, out);
    }
}

fn softmax(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]], threads: &Threads) {
    let p: SoftmaxParams = params(bytes);
    let (rows, n) = (p.rows as usize, p.n as usize);
    let x = &floats(inputs[0])[p.offset as usize..];
    let out = &mut floats_mut(outputs[0])[..rows * n];
    threads.rows(out, n, WORK * n, 1, |first, out| softmax_rows(&x[first * n..], n, out));
}

fn log(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]], threads: &Threads) {
    let p: SoftmaxParams = params(bytes);
    let (rows, n) = (p.rows as usize, p.n as usize);
    let x = &floats(inputs[0])[p.offset as usize..];
    let out = &mut floats_mut(outputs[0])[..rows * n];
    threads.rows(out, n, WORK * n, 1, |first, out| log_rows(&x[first * n..], n, out));
}

fn lse(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]], threads: &Threads) {
    let p: SoftmaxParams = params(bytes);
    let (rows, n) = (p.rows as usize, p.n as usize);
    let x = &floats(inputs[0])[p.offset as usize..];
    let out = &mut floats_mut(outputs[0])[..rows];
    threads.rows(out, 1, WORK * n, 1, |first, out| lse_rows(&x[first * n..], n, out));
}

fn cross_entropy(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]], threads: &Threads) {
    let p: CrossEntropyParams = params(bytes);
    let (rows, n) = (p.rows as usize, p.n as usize);
    let x = &floats(inputs[0])[p.logits_offset as usize..];
    let t = &floats(inputs[1])[p.targets_offset as usize..];
    let out = &mut floats_mut(outputs[0])[..rows];
    threads.rows(out, 1, WORK * n, 1, |first, out| cross_entropy_rows(&x[first * n..], &t[first * n..], n, out));
}

fn cross_entropy_grad(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]], threads: &Threads) {
    let p: CrossEntropyParams = params(bytes);
    let (rows, n) = (p.rows as usize, p.n as usize);
    let x = &floats(inputs[0])[p.logits_offset as usize..];
    let t = &floats(inputs[1])[p.targets_offset as usize..];
    let upstream = &floats(inputs[2])[p.upstream_offset as usize..];
    let out = &mut floats_mut(outputs[0])[..rows * n];
    threads.rows(out, n, WORK * n, 1, |first, out| {
        grad_rows(&x[first * n..], &t[first * n..], &upstream[first..], n, out);
    });
}
