//! Definition of `kernel::optim`.

use super::{Function, floats, floats_mut};
use crate::kernel::optim::*;
use crate::kernel::{Kernel, params};

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

/// Runs `rule(params, step, g, [w, state ..])` over the range.
fn each<const N: usize>(
    bytes: &[u8],
    inputs: &[&[u32]],
    outputs: &mut [&mut [u32]],
    rule: fn(&OptimParams, &[f32], f32, &mut [f32; N]),
) {
    let p: OptimParams = params(bytes);
    let g = &floats(inputs[0])[p.g_at as usize..][..p.n as usize];
    let step = &floats(inputs[1])[p.step_at as usize..];
    for (i, &g) in g.iter().enumerate() {
        let at = |k: usize| i + if k == 0 { p.w_at } else { p.state_at } as usize;
        let mut values: [f32; N] = std::array::from_fn(|k| floats(outputs[k])[at(k)]);
        rule(&p, step, g, &mut values);
        for (k, v) in values.into_iter().enumerate() {
            floats_mut(outputs[k])[at(k)] = v;
        }
    }
}

fn max(a: f32, b: f32) -> f32 {
    if b > a || b.is_nan() { b } else { a }
}

fn sgd(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]]) {
    each(bytes, inputs, outputs, |p, s, g, [w]| {
        let g = p.l2.mul_add(*w, g);
        *w = (-s[0]).mul_add(g, *w);
    });
}

fn momentum(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]]) {
    each(bytes, inputs, outputs, |p, s, g, [w, b]| {
        let g = p.l2.mul_add(*w, g);
        *b = s[1].mul_add(*b, s[2] * g);
        let u = if p.flags & NESTEROV != 0 { p.beta1.mul_add(*b, g) } else { *b };
        *w = (-s[0]).mul_add(u, *w);
    });
}

fn adam(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]]) {
    each(bytes, inputs, outputs, |p, s, g, [w, m, v]| {
        let g = p.l2.mul_add(*w, g);
        *m = p.beta1.mul_add(*m, p.rest1 * g);
        *v = p.beta2.mul_add(*v, p.rest2 * (g * g));
        let d = v.sqrt().mul_add(s[3], s[4]);
        let u = s[1].mul_add(*m, s[2] * g);
        *w = (-(s[0] * p.decay)).mul_add(*w, *w) - u / d;
    });
}

fn amsgrad(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]]) {
    each(bytes, inputs, outputs, |p, s, g, [w, m, v, top]| {
        let g = p.l2.mul_add(*w, g);
        *m = p.beta1.mul_add(*m, p.rest1 * g);
        *v = p.beta2.mul_add(*v, p.rest2 * (g * g));
        *top = max(*top, *v);
        let d = top.sqrt().mul_add(s[3], s[4]);
        let u = s[1].mul_add(*m, s[2] * g);
        *w = (-(s[0] * p.decay)).mul_add(*w, *w) - u / d;
    });
}

fn adadelta(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]]) {
    each(bytes, inputs, outputs, |p, s, g, [w, q, a]| {
        let g = p.l2.mul_add(*w, g);
        *q = p.beta1.mul_add(*q, p.rest1 * (g * g));
        let u = ((*a + p.eps).sqrt() / (*q + p.eps).sqrt()) * g;
        *a = p.beta1.mul_add(*a, p.rest1 * (u * u));
        *w = (-s[0]).mul_add(u, *w);
    });
}

fn rmsprop(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]]) {
    each(bytes, inputs, outputs, |p, s, g, [w, q]| {
        let g = p.l2.mul_add(*w, g);
        *q = p.beta1.mul_add(*q, p.rest1 * (g * g));
        *w = (-s[0]).mul_add(g / (q.sqrt() + p.eps), *w);
    });
}

fn adagrad(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]]) {
    each(bytes, inputs, outputs, |p, s, g, [w, q]| {
        let g = p.l2.mul_add(*w, g);
        *q = g.mul_add(g, *q);
        *w = (-s[0]).mul_add(g / (q.sqrt() + p.eps), *w);
    });
}

fn adamax(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]]) {
    each(bytes, inputs, outputs, |p, s, g, [w, m, u]| {
        let g = p.l2.mul_add(*w, g);
        *m = p.beta1.mul_add(*m, p.rest1 * g);
        *u = max(p.beta2 * *u, g.abs() + p.eps);
        *w = (-s[0]).mul_add(*m / *u, *w);
    });
}

fn ema(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]]) {
    each(bytes, inputs, outputs, |_, s, g, [w]| {
        *w = s[0].mul_add(g - *w, *w);
    });
}
