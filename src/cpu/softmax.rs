//! Fast form of `kernel::softmax`: groups of 16 columns, exponentials kept in the output.

use super::sums::{Max, Sum, WIDTH, by_lanes, load, map, row, store, zip};
use super::{Function, Threads};
use crate::kernel::softmax::*;
use crate::kernel::{Kernel, params};
use crate::reference::{floats, floats_mut};
use crate::{math, simd_fn};

pub static KERNELS: [(&Kernel, Function); 5] = [
    (&SOFTMAX, softmax),
    (&LOG, log),
    (&LSE, lse),
    (&CROSS_ENTROPY, cross_entropy),
    (&CROSS_ENTROPY_GRAD, cross_entropy_grad),
];

/// Scalar operations per element, about.
const WORK: usize = 16;

// The functions below take the rest of the buffer from a row on, not the row alone, so that a row's
// last group can be read (and written) whole. What it holds beyond the row is replaced by padding
// when read, and overwritten by the next row when written. Columns padded with -inf have
// probability 0 (or the row is NaN anyway), so they change no sum.

/// `sum_j exp(x_j - shift)`
#[inline(always)]
fn sum_exp(x: &[f32], n: usize, shift: f32) -> f32 {
    by_lanes::<Sum>(n, |start, count| map(load(x, start, count, f32::NEG_INFINITY), |v| math::exp(v - shift)))
}

/// The same; the exponentials stay in `out`.
#[inline(always)]
fn exps(x: &[f32], n: usize, shift: f32, out: &mut [f32]) -> f32 {
    by_lanes::<Sum>(n, |start, count| {
        let e = map(load(x, start, count, f32::NEG_INFINITY), |v| math::exp(v - shift));
        store(out, start, count, &e);
        e
    })
}

simd_fn! {
    fn softmax_rows(x: &[f32], n: usize, out: &mut [f32]) {
        for r in 0..out.len() / n {
            let (x, out) = (&x[r * n..], &mut out[r * n..]);
            let m = row::<Max>(x, n);
            let sum = exps(x, n, m, out);
            for start in (0..n).step_by(WIDTH) {
                let y = map(load(out, start, n - start, 1.0), |e| e / sum);
                store(out, start, n - start, &y);
            }
        }
    }
}

simd_fn! {
    fn log_rows(x: &[f32], n: usize, out: &mut [f32]) {
        for r in 0..out.len() / n {
            let (x, out) = (&x[r * n..], &mut out[r * n..]);
            let m = row::<Max>(x, n);
            let ln_sum = math::ln(sum_exp(x, n, m));
            for start in (0..n).step_by(WIDTH) {
                let y = map(load(x, start, n - start, 0.0), |v| (v - m) - ln_sum);
                store(out, start, n - start, &y);
            }
        }
    }
}

simd_fn! {
    fn lse_rows(x: &[f32], n: usize, out: &mut [f32]) {
        for (r, o) in out.iter_mut().enumerate() {
            let x = &x[r * n..];
            let m = row::<Max>(x, n);
            let shift = if m.is_infinite() { 0.0 } else { m };
            *o = math::ln(sum_exp(x, n, shift)) + shift;
        }
    }
}

simd_fn! {
    fn cross_entropy_rows(x: &[f32], t: &[f32], n: usize, out: &mut [f32]) {
        for (r, o) in out.iter_mut().enumerate() {
            let (x, t) = (&x[r * n..], &t[r * n..]);
            let m = row::<Max>(x, n);
            let ln_sum = math::ln(sum_exp(x, n, m));
            let total = by_lanes::<Sum>(n, |start, count| {
                let t = load(t, start, count, 0.0);
                zip(t, load(x, start, count, 0.0), |t, v| {
                    let term = t * ((v - m) - ln_sum);
                    if t == 0.0 { 0.0 } else { term }
                })
            });
            *o = 0.0 - total;
        }
    }
}

simd_fn! {
    fn grad_rows(x: &[f32], t: &[f32], upstream: &[f32], n: usize, out: &mut [f32]) {
        for r in 0..out.len() / n {
            let (x, t, out) = (&x[r * n..], &t[r * n..], &mut out[r * n..]);
            let (m, u) = (row::<Max>(x, n), upstream[r]);
            let sum = exps(x, n, m, out);
            let targets = row::<Sum>(t, n);
            for start in (0..n).step_by(WIDTH) {
                let e = load(out, start, n - start, 1.0);
                let g = zip(e, load(t, start, n - start, 0.0), |e, t| u * (e / sum * targets - t));
                store(out, start, n - start, &g);
            }
        }
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
