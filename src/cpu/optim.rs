//! Fast form of `kernel::optim`: one vector loop over gradient, parameters and state together.

use super::{Function, Threads};
use crate::kernel::optim::*;
use crate::kernel::{Kernel, params};
use crate::simd_fn;

/// The family's entries.
pub static KERNELS: [(&Kernel, Function); 9] = [
    (&SGD, sgd),
    (&MOMENTUM, momentum),
    (&ADAM, adam),
    (&AMSGRAD, amsgrad),
    (&ADADELTA, adadelta),
    (&RMSPROP, rmsprop),
    (&ADAGRAD, adagrad),
    (&ADAMAX, adamax),
    (&EMA, ema),
];

/// A rule as a type: from a gradient and (w, state ..) to the new (w, state ..).
trait Rule<const N: usize>: Copy + Sync {
    fn at(self, g: f32, values: [f32; N]) -> [f32; N];
}

impl<const N: usize, F: Fn(f32, [f32; N]) -> [f32; N] + Copy + Sync> Rule<N> for F {
    #[inline(always)]
    fn at(self, g: f32, values: [f32; N]) -> [f32; N] {
        self(g, values)
    }
}

simd_fn! {
    fn update1<F: Rule<1>>(f: F, g: &[f32], w: &mut [f32]) {
        for (w, &g) in w.iter_mut().zip(g) {
            [*w] = f.at(g, [*w]);
        }
    }
}

simd_fn! {
    fn update2<F: Rule<2>>(f: F, g: &[f32], w: &mut [f32], a: &mut [f32]) {
        for ((w, a), &g) in w.iter_mut().zip(a).zip(g) {
            [*w, *a] = f.at(g, [*w, *a]);
        }
    }
}

simd_fn! {
    fn update3<F: Rule<3>>(f: F, g: &[f32], w: &mut [f32], a: &mut [f32], b: &mut [f32]) {
        for (((w, a), b), &g) in w.iter_mut().zip(a).zip(b).zip(g) {
            [*w, *a, *b] = f.at(g, [*w, *a, *b]);
        }
    }
}

simd_fn! {
    fn update4<F: Rule<4>>(f: F, g: &[f32], w: &mut [f32], a: &mut [f32], b: &mut [f32], c: &mut [f32]) {
        for ((((w, a), b), c), &g) in w.iter_mut().zip(a).zip(b).zip(c).zip(g) {
            [*w, *a, *b, *c] = f.at(g, [*w, *a, *b, *c]);
        }
    }
}

/// Deals the range to threads: calls `run(gradients, [w, state ..])` on its pieces.
fn deal<const N: usize>(
    p: &OptimParams,
    inputs: &[&[u32]],
    outputs: &mut [&mut [u32]],
    threads: &Threads,
    run: impl Fn(&[f32], [&mut [f32]; N]) + Sync,
) {
    let n = p.n as usize;
    let g: &[f32] = &bytemuck::cast_slice(inputs[0])[p.g_at as usize..][..n];
    let mut ranges = outputs.iter_mut().enumerate().map(|(k, words)| {
        let from = if k == 0 { p.w_at } else { p.state_at } as usize;
        &mut bytemuck::cast_slice_mut::<u32, f32>(words)[from..][..n]
    });
    let ranges: [&mut [f32]; N] = std::array::from_fn(|_| ranges.next().expect("one buffer per value"));
    threads.rows_of(ranges, [1; N], 4, 16, |first, pieces| {
        run(&g[first..first + pieces[0].len()], pieces);
    });
}

#[inline(always)]
fn max(a: f32, b: f32) -> f32 {
    if b > a || b.is_nan() { b } else { a }
}

/// The first `K` values of a launch's `step` buffer.
fn steps<const K: usize>(p: &OptimParams, inputs: &[&[u32]]) -> [f32; K] {
    std::array::from_fn(|k| f32::from_bits(inputs[1][p.step_at as usize + k]))
}

fn sgd(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]], threads: &Threads) {
    let p: OptimParams = params(bytes);
    let [lr] = steps(&p, inputs);
    let rule = move |g: f32, [w]: [f32; 1]| [(-lr).mul_add(p.l2.mul_add(w, g), w)];
    deal(&p, inputs, outputs, threads, |g, [w]| update1(rule, g, w));
}

fn momentum(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]], threads: &Threads) {
    let p: OptimParams = params(bytes);
    let [lr, keep, take] = steps(&p, inputs);
    let nesterov = p.flags & NESTEROV != 0;
    let rule = move |g: f32, [w, b]: [f32; 2]| {
        let g = p.l2.mul_add(w, g);
        let b = keep.mul_add(b, take * g);
        let ahead = p.beta1.mul_add(b, g);
        [(-lr).mul_add(if nesterov { ahead } else { b }, w), b]
    };
    deal(&p, inputs, outputs, threads, |g, [w, b]| update2(rule, g, w, b));
}

/// The end of an Adam step: the new parameter from the averages.
#[inline(always)]
fn adam_move(p: &OptimParams, s: [f32; 5], g: f32, w: f32, m: f32, v: f32) -> f32 {
    let d = v.sqrt().mul_add(s[3], s[4]);
    let u = s[1].mul_add(m, s[2] * g);
    (-(s[0] * p.decay)).mul_add(w, w) - u / d
}

fn adam(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]], threads: &Threads) {
    let p: OptimParams = params(bytes);
    let s: [f32; 5] = steps(&p, inputs);
    let rule = move |g: f32, [w, m, v]: [f32; 3]| {
        let g = p.l2.mul_add(w, g);
        let m = p.beta1.mul_add(m, p.rest1 * g);
        let v = p.beta2.mul_add(v, p.rest2 * (g * g));
        [adam_move(&p, s, g, w, m, v), m, v]
    };
    deal(&p, inputs, outputs, threads, |g, [w, m, v]| update3(rule, g, w, m, v));
}

fn amsgrad(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]], threads: &Threads) {
    let p: OptimParams = params(bytes);
    let s: [f32; 5] = steps(&p, inputs);
    let rule = move |g: f32, [w, m, v, top]: [f32; 4]| {
        let g = p.l2.mul_add(w, g);
        let m = p.beta1.mul_add(m, p.rest1 * g);
        let v = p.beta2.mul_add(v, p.rest2 * (g * g));
        let top = max(top, v);
        [adam_move(&p, s, g, w, m, top), m, v, top]
    };
    deal(&p, inputs, outputs, threads, |g, [w, m, v, top]| update4(rule, g, w, m, v, top));
}

fn adadelta(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]], threads: &Threads) {
    let p: OptimParams = params(bytes);
    let [lr] = steps(&p, inputs);
    let rule = move |g: f32, [w, q, a]: [f32; 3]| {
        let g = p.l2.mul_add(w, g);
        let q = p.beta1.mul_add(q, p.rest1 * (g * g));
        let u = ((a + p.eps).sqrt() / (q + p.eps).sqrt()) * g;
        [(-lr).mul_add(u, w), q, p.beta1.mul_add(a, p.rest1 * (u * u))]
    };
    deal(&p, inputs, outputs, threads, |g, [w, q, a]| update3(rule, g, w, q, a));
}

fn rmsprop(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]], threads: &Threads) {
    let p: OptimParams = params(bytes);
    let [lr] = steps(&p, inputs);
    let rule = move |g: f32, [w, q]: [f32; 2]| {
        let g = p.l2.mul_add(w, g);
        let q = p.beta1.mul_add(q, p.rest1 * (g * g));
        [(-lr).mul_add(g / (q.sqrt() + p.eps), w), q]
    };
    deal(&p, inputs, outputs, threads, |g, [w, q]| update2(rule, g, w, q));
}

fn adagrad(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]], threads: &Threads) {
    let p: OptimParams = params(bytes);
    let [lr] = steps(&p, inputs);
    let rule = move |g: f32, [w, q]: [f32; 2]| {
        let g = p.l2.mul_add(w, g);
        let q = g.mul_add(g, q);
        [(-lr).mul_add(g / (q.sqrt() + p.eps), w), q]
    };
    deal(&p, inputs, outputs, threads, |g, [w, q]| update2(rule, g, w, q));
}

fn adamax(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]], threads: &Threads) {
    let p: OptimParams = params(bytes);
    let [rate] = steps(&p, inputs);
    let rule = move |g: f32, [w, m, u]: [f32; 3]| {
        let g = p.l2.mul_add(w, g);
        let m = p.beta1.mul_add(m, p.rest1 * g);
        let u = max(p.beta2 * u, g.abs() + p.eps);
        [(-rate).mul_add(m / u, w), m, u]
    };
    deal(&p, inputs, outputs, threads, |g, [w, m, u]| update3(rule, g, w, m, u));
}

fn ema(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]], threads: &Threads) {
    let p: OptimParams = params(bytes);
    let [weight] = steps(&p, inputs);
    let rule = move |g: f32, [w]: [f32; 1]| [weight.mul_add(g - w, w)];
    deal(&p, inputs, outputs, threads, |g, [w]| update1(rule, g, w));
}
