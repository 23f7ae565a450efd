//! Fast form of `kernel::random`: sixteen Philox blocks side by side.

use super::{Function, Threads};
use crate::kernel::random::*;
use crate::kernel::{Kernel, params};
use crate::rng::{Stream, normal_from, uniform_from};
use crate::simd_fn;

/// The family's entries.
pub static KERNELS: [(&Kernel, Function); 5] =
    [(&UNIFORM, uniform), (&NORMAL, normal), (&MASK, mask), (&BELOW, below), (&ADVANCE, advance)];

/// Blocks that are computed together.
const LANES: usize = 16;
/// Elements that those blocks hold.
pub(super) const GROUP: usize = 4 * LANES;

fn stream(p: &RandomParams, counter: u32) -> Stream {
    Stream {
        seed: u64::from(p.seed[0]) | u64::from(p.seed[1]) << 32,
        stream: p.stream,
        step: p.step.wrapping_add(counter),
        part: p.part,
    }
}

/// `rng::philox` for blocks `block..block + 16`: word `w` of block `block + l` is `[w][l]`.
#[inline(always)]
fn words(stream: Stream, block: u32) -> [[u32; LANES]; 4] {
    let mut c0: [u32; LANES] = std::array::from_fn(|l| block.wrapping_add(l as u32));
    let mut c1 = [stream.part; LANES];
    let mut c2 = [stream.step; LANES];
    let mut c3 = [stream.stream; LANES];
    let [mut k0, mut k1] = stream.key();
    for _ in 0..10 {
        for l in 0..LANES {
            let p0 = 0xD251_1F53_u64 * u64::from(c0[l]);
            let p1 = 0xCD9E_8D57_u64 * u64::from(c2[l]);
            c0[l] = (p1 >> 32) as u32 ^ c1[l] ^ k0;
            c1[l] = p1 as u32;
            c2[l] = (p0 >> 32) as u32 ^ c3[l] ^ k1;
            c3[l] = p0 as u32;
        }
        k0 = k0.wrapping_add(0x9E37_79B9);
        k1 = k1.wrapping_add(0xBB67_AE85);
    }
    [c0, c1, c2, c3]
}

/// The 64 words of elements `4 block ..`, in order.
#[inline(always)]
fn words64(stream: Stream, block: u32) -> [u32; GROUP] {
    let [w0, w1, w2, w3] = words(stream, block);
    let mut all = [0; GROUP];
    for l in 0..LANES {
        all[4 * l] = w0[l];
        all[4 * l + 1] = w1[l];
        all[4 * l + 2] = w2[l];
        all[4 * l + 3] = w3[l];
    }
    all
}

/// The standard normal numbers of elements `4 block ..`, in order.
#[inline(always)]
pub(super) fn normal64(stream: Stream, block: u32) -> [f32; GROUP] {
    let w = words(stream, block);
    let mut z = [[0.0; LANES]; 4];
    for l in 0..LANES {
        (z[0][l], z[1][l]) = normal_from(w[0][l], w[1][l]);
    }
    for l in 0..LANES {
        (z[2][l], z[3][l]) = normal_from(w[2][l], w[3][l]);
    }
    let mut all = [0.0; GROUP];
    for l in 0..LANES {
        all[4 * l] = z[0][l];
        all[4 * l + 1] = z[1][l];
        all[4 * l + 2] = z[2][l];
        all[4 * l + 3] = z[3][l];
    }
    all
}

/// Copies groups of 64 that `$group` makes from a block number into `$out`, the last one in part.
macro_rules! groups {
    ($out:expr, $block:expr, $group:expr) => {
        for (k, piece) in $out.chunks_mut(GROUP).enumerate() {
            let values = $group($block + (k * LANES) as u32);
            piece.copy_from_slice(&values[..piece.len()]);
        }
    };
}

simd_fn! {
    fn fill_uniform(s: Stream, block: u32, a: f32, width: f32, out: &mut [f32]) {
        groups!(out, block, |b| words64(s, b).map(|w| uniform_from(w).mul_add(width, a)));
    }
}

simd_fn! {
    fn fill_normal(s: Stream, block: u32, mean: f32, std: f32, out: &mut [f32]) {
        groups!(out, block, |b| normal64(s, b).map(|z| z.mul_add(std, mean)));
    }
}

simd_fn! {
    fn fill_mask(s: Stream, block: u32, threshold: f32, under: f32, over: f32, out: &mut [f32]) {
        groups!(out, block, |b| words64(s, b).map(|w| if uniform_from(w) < threshold { under } else { over }));
    }
}

simd_fn! {
    fn fill_below(s: Stream, block: u32, bound: u32, out: &mut [u32]) {
        groups!(out, block, |b| words64(s, b).map(|w| ((u64::from(w) * u64::from(bound)) >> 32) as u32));
    }
}

/// Deals the output to threads in whole groups: calls `f(stream, first block, elements)`.
fn fill(
    p: &RandomParams,
    inputs: &[&[u32]],
    outputs: &mut [&mut [u32]],
    work: usize,
    threads: &Threads,
    f: impl Fn(Stream, u32, &mut [u32]) + Sync,
) {
    let s = stream(p, inputs[0][0]);
    let out = &mut outputs[0][p.offset as usize..][..p.n as usize];
    threads.rows(out, 1, work, GROUP, |first, piece| f(s, (first / 4) as u32, piece));
}

fn uniform(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]], threads: &Threads) {
    let p: RandomParams = params(bytes);
    fill(&p, inputs, outputs, 8, threads, |s, block, out| {
        fill_uniform(s, block, p.a, p.b - p.a, bytemuck::cast_slice_mut(out));
    });
}

fn normal(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]], threads: &Threads) {
    let p: RandomParams = params(bytes);
    fill(&p, inputs, outputs, 16, threads, |s, block, out| {
        fill_normal(s, block, p.a, p.b, bytemuck::cast_slice_mut(out));
    });
}

fn mask(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]], threads: &Threads) {
    let p: RandomParams = params(bytes);
    fill(&p, inputs, outputs, 8, threads, |s, block, out| {
        fill_mask(s, block, p.a, p.b, p.c, bytemuck::cast_slice_mut(out));
    });
}

fn below(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]], threads: &Threads) {
    let p: RandomParams = params(bytes);
    fill(&p, inputs, outputs, 8, threads, |s, block, out| fill_below(s, block, p.a.to_bits(), out));
}

fn advance(bytes: &[u8], _: &[&[u32]], outputs: &mut [&mut [u32]], _: &Threads) {
    let p: AdvanceParams = params(bytes);
    outputs[0][0] = outputs[0][0].wrapping_add(p.by);
}
