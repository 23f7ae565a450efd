//! Fast form of `kernel::sgld`: noise in groups of 64 elements, used where it is made.

use super::random::{GROUP, normal64};
use super::{Function, Threads};
use crate::kernel::sgld::*;
use crate::kernel::{Kernel, params};
use crate::rng::Stream;
use crate::simd_fn;

/// The family's entries.
pub static KERNELS: [(&Kernel, Function); 1] = [(&STEP, step)];

#[inline(always)]
fn clamp(v: f32, a: f32, b: f32) -> f32 {
    let high = if v > b { b } else { v };
    if v < a { a } else { high }
}

/// `out[i]` after the step, for the elements of up to one group.
#[inline(always)]
fn advance(p: &SgldParams, g: &[f32], eps: &[f32], x: &mut [f32]) {
    let clamps = (p.flags & CLAMP_GRADIENT != 0, p.flags & CLAMP_BOX != 0);
    for ((x, &g), &eps) in x.iter_mut().zip(g).zip(eps) {
        let slope = if clamps.0 { clamp(g, -p.g_max, p.g_max) } else { g };
        let t = p.sigma.mul_add(eps, p.alpha.mul_add(slope, *x));
        *x = if clamps.1 { clamp(t, p.low, p.high) } else { t };
    }
}

simd_fn! {
    fn run(p: &SgldParams, noise: Stream, block: u32, g: &[f32], x: &mut [f32]) {
        for (k, (x, g)) in x.chunks_mut(GROUP).zip(g.chunks(GROUP)).enumerate() {
            let eps = normal64(noise, block + (k * (GROUP / 4)) as u32);
            advance(p, g, &eps, x);
        }
    }
}

fn step(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]], threads: &Threads) {
    let p: SgldParams = params(bytes);
    let n = p.n as usize;
    let g: &[f32] = &bytemuck::cast_slice(inputs[0])[p.g_offset as usize..][..n];
    let noise = Stream {
        seed: u64::from(p.seed[0]) | u64::from(p.seed[1]) << 32,
        stream: p.stream,
        step: p.step.wrapping_add(inputs[1][0]),
        part: p.part,
    };
    let x: &mut [f32] = &mut bytemuck::cast_slice_mut(outputs[0])[p.x_offset as usize..][..n];
    threads.rows(x, 1, 16, GROUP, |first, piece| {
        run(&p, noise, (first / 4) as u32, &g[first..first + piece.len()], piece);
    });
}
