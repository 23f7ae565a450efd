//! Definition of `kernel::random`.

use super::{Function, floats_mut};
use crate::kernel::random::*;
use crate::kernel::{Kernel, params};
use crate::rng::Stream;

/// The family's entries.
pub static KERNELS: [(&Kernel, Function); 5] =
    [(&UNIFORM, uniform), (&NORMAL, normal), (&MASK, mask), (&BELOW, below), (&ADVANCE, advance)];

/// The numbers that a launch draws from.
fn stream(p: &RandomParams, counter: u32) -> Stream {
    Stream {
        seed: u64::from(p.seed[0]) | u64::from(p.seed[1]) << 32,
        stream: p.stream,
        step: p.step.wrapping_add(counter),
        part: p.part,
    }
}

fn fill(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]], value: fn(&RandomParams, Stream, u32) -> f32) {
    let p: RandomParams = params(bytes);
    let s = stream(&p, inputs[0][0]);
    let out = &mut floats_mut(outputs[0])[p.offset as usize..];
    for i in 0..p.n {
        out[i as usize] = value(&p, s, i);
    }
}

fn uniform(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]]) {
    fill(bytes, inputs, outputs, |p, s, i| s.uniform(i).mul_add(p.b - p.a, p.a));
}

fn normal(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]]) {
    fill(bytes, inputs, outputs, |p, s, i| s.normal(i).mul_add(p.b, p.a));
}

fn mask(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]]) {
    fill(bytes, inputs, outputs, |p, s, i| if s.uniform(i) < p.a { p.b } else { p.c });
}

fn below(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]]) {
    let p: RandomParams = params(bytes);
    let s = stream(&p, inputs[0][0]);
    let bound = u64::from(p.a.to_bits());
    for i in 0..p.n {
        outputs[0][p.offset as usize + i as usize] = ((u64::from(s.word(i)) * bound) >> 32) as u32;
    }
}

fn advance(bytes: &[u8], _: &[&[u32]], outputs: &mut [&mut [u32]]) {
    let p: AdvanceParams = params(bytes);
    outputs[0][0] = outputs[0][0].wrapping_add(p.by);
}
