//! Definition of `kernel::sgld`.

use super::{Function, floats, floats_mut};
use crate::kernel::sgld::*;
use crate::kernel::{Kernel, params};
use crate::rng::Stream;

/// The family's entries.
pub static KERNELS: [(&Kernel, Function); 1] = [(&STEP, step)];

fn clamp(v: f32, a: f32, b: f32) -> f32 {
    if v < a {
        a
    } else if v > b {
        b
    } else {
        v
    }
}

fn step(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]]) {
    let p: SgldParams = params(bytes);
    let g = &floats(inputs[0])[p.g_offset as usize..];
    let noise = Stream {
        seed: u64::from(p.seed[0]) | u64::from(p.seed[1]) << 32,
        stream: p.stream,
        step: p.step.wrapping_add(inputs[1][0]),
        part: p.part,
    };
    let x = &mut floats_mut(outputs[0])[p.x_offset as usize..];
    for i in 0..p.n as usize {
        let slope = if p.flags & CLAMP_GRADIENT != 0 { clamp(g[i], -p.g_max, p.g_max) } else { g[i] };
        let t = p.alpha.mul_add(slope, x[i]);
        let t = p.sigma.mul_add(noise.normal(i as u32), t);
        x[i] = if p.flags & CLAMP_BOX != 0 { clamp(t, p.low, p.high) } else { t };
    }
}
