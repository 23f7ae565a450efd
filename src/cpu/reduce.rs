//! Fast form of `kernel::reduce`: lanes in vector registers, tiles of columns, rows and segments
//! dealt to threads.

use super::sums::{Columns, Fold, Max, Min, Row, Sum, by_blocks, by_lanes, rows};
use super::wide::{WIDTH, load};
use super::{Function, Threads};
use crate::kernel::reduce::*;
use crate::kernel::{Kernel, params};
use crate::reference::{floats, floats_mut};
use crate::{simd_fn, wide_fn};

/// The family's entries.
pub static KERNELS: [(&Kernel, Function); 5] = [(&LAST, last), (&AXIS, axis), (&ALL, all), (&ARG, arg), (&SCAN, scan)];

fn last(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]], threads: &Threads) {
    let p: LastParams = params(bytes);
    let x = &floats(inputs[0])[p.offset as usize..];
    let out = &mut floats_mut(outputs[0])[..p.rows as usize];
    let n = p.n as usize;
    match Reduce::from_code(p.op).expect("known op") {
        Reduce::Sum => threads.rows(out, 1, n, 1, |first, out| rows::<Sum>(&x[first * n..], n, out)),
        Reduce::Max => threads.rows(out, 1, n, 1, |first, out| rows::<Max>(&x[first * n..], n, out)),
        Reduce::Min => threads.rows(out, 1, n, 1, |first, out| rows::<Min>(&x[first * n..], n, out)),
    }
}

/// A matrix of `width` columns.
struct Matrix<'a, F> {
    x: &'a [f32],
    width: usize,
    fold: std::marker::PhantomData<F>,
}

impl<F: Fold> Columns for Matrix<'_, F> {
    #[inline(always)]
    fn add(&self, r: usize, c: usize, acc: &mut [f32]) {
        let x = &self.x[r * self.width + c..][..acc.len()];
        for (a, x) in acc.iter_mut().zip(x) {
            *a = F::join(*a, *x);
        }
    }
}

simd_fn! {
    fn columns<F: Fold>(_f: F, x: &[f32], width: usize, rows: usize, c: usize, out: &mut [f32]) {
        by_blocks::<F>(&Matrix::<F> { x, width, fold: std::marker::PhantomData }, rows, c, out);
    }
}

fn axis(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]], threads: &Threads) {
    let p: AxisParams = params(bytes);
    match Reduce::from_code(p.op).expect("known op") {
        Reduce::Sum => axis_of(Sum, &p, inputs, outputs, threads),
        Reduce::Max => axis_of(Max, &p, inputs, outputs, threads),
        Reduce::Min => axis_of(Min, &p, inputs, outputs, threads),
    }
}

fn axis_of<F: Fold>(f: F, p: &AxisParams, inputs: &[&[u32]], outputs: &mut [&mut [u32]], threads: &Threads) {
    let x = &floats(inputs[0])[p.offset as usize..];
    let (outer, n, inner) = (p.outer as usize, p.n as usize, p.inner as usize);
    let out = &mut floats_mut(outputs[0])[..outer * inner];
    let blocks = n.div_ceil(BLOCK);
    if threads.count() > 1 && outer * inner < 64 * threads.count() && blocks >= 16 {
        // Few columns, many rows: the blocks are dealt, their totals joined afterwards.
        let mut totals = vec![0.0f32; outer * blocks * inner];
        threads.rows(&mut totals, inner, inner * BLOCK, 1, |first, piece| {
            for (b, total) in piece.chunks_mut(inner).enumerate() {
                let (o, block) = ((first + b) / blocks, (first + b) % blocks);
                let start = block * BLOCK;
                columns(f, &x[(o * n + start) * inner..], inner, (n - start).min(BLOCK), 0, total);
            }
        });
        for (out, totals) in out.chunks_mut(inner).zip(totals.chunks(blocks * inner)) {
            for (b, total) in totals.chunks(inner).enumerate() {
                for (o, t) in out.iter_mut().zip(total) {
                    *o = if b == 0 { *t } else { F::join(*o, *t) };
                }
            }
        }
        return;
    }
    threads.rows(out, 1, n, WIDTH, |first, piece| {
        // A piece may begin and end inside an `outer` run.
        each_run(first, inner, piece, |o, c, run| columns(f, &x[o * n * inner..], inner, n, c, run));
    });
}

/// Cuts a piece of an `[outer, inner]` output, which starts at element `first`, where `outer`
/// changes: calls `f(outer, first column, run)`.
fn each_run<T>(first: usize, inner: usize, piece: &mut [T], mut f: impl FnMut(usize, usize, &mut [T])) {
    let mut rest = piece;
    let mut at = first;
    while !rest.is_empty() {
        let (o, c) = (at / inner, at % inner);
        let (run, next) = rest.split_at_mut((inner - c).min(rest.len()));
        at += run.len();
        f(o, c, run);
        rest = next;
    }
}

fn all(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]], threads: &Threads) {
    let p: AllParams = params(bytes);
    let x = &floats(inputs[0])[p.offset as usize..][..p.n as usize];
    floats_mut(outputs[0])[0] = match Reduce::from_code(p.op).expect("known op") {
        Reduce::Sum => everything::<Sum>(x, threads),
        Reduce::Max => everything::<Max>(x, threads),
        Reduce::Min => everything::<Min>(x, threads),
    };
}

/// All of `x` joined by the rule for everything.
pub(super) fn everything<F: Fold>(x: &[f32], threads: &Threads) -> f32 {
    let mut totals = vec![F::IDENTITY; x.len().div_ceil(SEGMENT)];
    threads.rows(&mut totals, 1, SEGMENT, 1, |first, piece| {
        for (t, part) in piece.iter_mut().zip(x[first * SEGMENT..].chunks(SEGMENT)) {
            rows::<F>(part, part.len(), std::slice::from_mut(t));
        }
    });
    match totals[..] {
        [] => F::IDENTITY,
        [total] => total,
        _ => everything::<F>(&totals, threads),
    }
}

wide_fn! {
    /// The first place of each row's extreme: find the extreme, then where it is.
    fn places<V, F: Fold>(x: &[f32], n: usize, out: &mut [u32]) {
        for (r, o) in out.iter_mut().enumerate() {
            let x = &x[r * n..][..n];
            let best = by_lanes::<F, V>(n, &Row { x, pad: F::IDENTITY });
            let sought = V::splat(best);
            *o = 0;
            for start in (0..n).step_by(WIDTH) {
                let v: V = load(x, start, n - start, 0.0);
                let hits = if best.is_nan() { v.nan() } else { v.equal(sought) };
                // A row has its extreme; padding comes after it.
                if hits != 0 {
                    *o = start as u32 + hits.trailing_zeros();
                    break;
                }
            }
        }
    }
}

simd_fn! {
    fn places_of_columns<F: Fold>(_f: F, x: &[f32], width: usize, rows: usize, c: usize, out: &mut [u32]) {
        const TILE: usize = 64;
        for (t, out) in out.chunks_mut(TILE).enumerate() {
            let mut best = [0.0f32; TILE];
            for r in 0..rows {
                let row = &x[r * width + c + t * TILE..][..out.len()];
                for ((o, b), &v) in out.iter_mut().zip(&mut best).zip(row) {
                    // Replaced only by what joining would take: a later equal value is not.
                    let beyond = r == 0 || (!b.is_nan() && (v.is_nan() || (F::join(*b, v) == v && *b != v)));
                    *b = if beyond { v } else { *b };
                    *o = if beyond { r as u32 } else { *o };
                }
            }
        }
    }
}

fn arg(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]], threads: &Threads) {
    let p: AxisParams = params(bytes);
    match Arg::from_code(p.op).expect("known op") {
        Arg::Max => arg_of(Max, &p, inputs, outputs, threads),
        Arg::Min => arg_of(Min, &p, inputs, outputs, threads),
    }
}

fn arg_of<F: Fold>(f: F, p: &AxisParams, inputs: &[&[u32]], outputs: &mut [&mut [u32]], threads: &Threads) {
    let x = &floats(inputs[0])[p.offset as usize..];
    let (outer, n, inner) = (p.outer as usize, p.n as usize, p.inner as usize);
    let out = &mut outputs[0][..outer * inner];
    if n == 0 {
        out.fill(0);
    } else if inner == 1 {
        threads.rows(out, 1, 2 * n, 1, |first, piece| places::<F>(&x[first * n..], n, piece));
    } else {
        threads.rows(out, 1, 2 * n, WIDTH, |first, piece| {
            each_run(first, inner, piece, |o, c, run| places_of_columns(f, &x[o * n * inner..], inner, n, c, run));
        });
    }
}

fn scan(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]], threads: &Threads) {
    let p: ScanParams = params(bytes);
    let (outer, n, inner) = (p.outer as usize, p.n as usize, p.inner as usize);
    let x = &floats(inputs[0])[p.offset as usize..];
    let out = &mut floats_mut(outputs[0])[..outer * n * inner];
    threads.rows(out, n * inner, n * inner, 1, |first, piece| {
        for (o, out) in piece.chunks_mut(n * inner).enumerate() {
            let x = &x[(first + o) * n * inner..][..n * inner];
            out[..inner].copy_from_slice(&x[..inner]);
            if inner == 1 {
                let mut sum = x[0];
                for (o, v) in out[1..].iter_mut().zip(&x[1..]) {
                    sum += v;
                    *o = sum;
                }
                continue;
            }
            for i in 1..n {
                let (done, rest) = out.split_at_mut(i * inner);
                let before = &done[(i - 1) * inner..];
                for ((o, b), v) in rest[..inner].iter_mut().zip(before).zip(&x[i * inner..]) {
                    *o = b + v;
                }
            }
        }
    });
}
