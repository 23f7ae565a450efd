//! Definition of `kernel::softmax`.

use super::reduce::by_lanes;
use super::{Function, floats, floats_mut};
use crate::kernel::reduce::Reduce;
use crate::kernel::softmax::*;
use crate::kernel::{Kernel, params};
use crate::math;

/// The family's entries.
pub static KERNELS: [(&Kernel, Function); 5] = [
    (&SOFTMAX, softmax),
    (&LOG, log),
    (&LSE, lse),
    (&CROSS_ENTROPY, cross_entropy),
    (&CROSS_ENTROPY_GRAD, cross_entropy_grad),
];

fn max(x: &[f32]) -> f32 {
    by_lanes(Reduce::Max, x.len(), |j| x[j])
}

/// `sum_j exp(x_j - shift)`
fn sum_exp(x: &[f32], shift: f32) -> f32 {
    by_lanes(Reduce::Sum, x.len(), |j| math::exp(x[j] - shift))
}

fn softmax(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]]) {
    let p: SoftmaxParams = params(bytes);
    let n = p.n as usize;
    for r in 0..p.rows as usize {
        let x = &floats(inputs[0])[p.offset as usize + r * n..][..n];
        let m = max(x);
        let sum = sum_exp(x, m);
        for j in 0..n {
            floats_mut(outputs[0])[r * n + j] = math::exp(x[j] - m) / sum;
        }
    }
}

fn log(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]]) {
    let p: SoftmaxParams = params(bytes);
    let n = p.n as usize;
    for r in 0..p.rows as usize {
        let x = &floats(inputs[0])[p.offset as usize + r * n..][..n];
        let m = max(x);
        let ln_sum = math::ln(sum_exp(x, m));
        for j in 0..n {
            floats_mut(outputs[0])[r * n + j] = (x[j] - m) - ln_sum;
        }
    }
}

fn lse(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]]) {
    let p: SoftmaxParams = params(bytes);
    let n = p.n as usize;
    for r in 0..p.rows as usize {
        let x = &floats(inputs[0])[p.offset as usize + r * n..][..n];
        let m = max(x);
        let shift = if m.is_infinite() { 0.0 } else { m };
        floats_mut(outputs[0])[r] = math::ln(sum_exp(x, shift)) + shift;
    }
}

fn cross_entropy(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]]) {
    let p: CrossEntropyParams = params(bytes);
    let n = p.n as usize;
    for r in 0..p.rows as usize {
        let x = &floats(inputs[0])[p.logits_offset as usize + r * n..][..n];
        let t = &floats(inputs[1])[p.targets_offset as usize + r * n..][..n];
        let m = max(x);
        let ln_sum = math::ln(sum_exp(x, m));
        let term = |j: usize| if t[j] == 0.0 { 0.0 } else { t[j] * ((x[j] - m) - ln_sum) };
        floats_mut(outputs[0])[r] = 0.0 - by_lanes(Reduce::Sum, n, term);
    }
}

fn cross_entropy_grad(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]]) {
    let p: CrossEntropyParams = params(bytes);
    let n = p.n as usize;
    for r in 0..p.rows as usize {
        let x = &floats(inputs[0])[p.logits_offset as usize + r * n..][..n];
        let t = &floats(inputs[1])[p.targets_offset as usize + r * n..][..n];
        let upstream = floats(inputs[2])[p.upstream_offset as usize + r];
        let m = max(x);
        let sum = sum_exp(x, m);
        let targets = by_lanes(Reduce::Sum, n, |j| t[j]);
        for j in 0..n {
            let probability = math::exp(x[j] - m) / sum;
            floats_mut(outputs[0])[r * n + j] = upstream * (probability * targets - t[j]);
        }
    }
}
