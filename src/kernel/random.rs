//! Random tensors: each element is a pure function of (seed, stream, step, part, element index).
//!
//! Entries: `uniform`, `normal`, `mask`, `below` write `n` elements from word `offset` of the output;
//! `advance` moves the counter. The counter is one u32 on the device that is added (wrapping) to
//! the params' `step`, so that a recorded training step draws new numbers each time it is replayed.
//! Element `i` is element `i` of `rng::Stream`, whatever `offset` is.
//!
//! Geometry: x = number of blocks of four elements. Summation order: none. Agreement: bits.
//! Cost: 4 bytes and a quarter of a Philox block (about 20 integer multiplications) per element.

use super::{Access::*, Kernel};
use bytemuck::{Pod, Zeroable};

/// `out[i] = fma(u, b - a, a)`, u uniform in [0, 1); params [`RandomParams`]; buffers `counter`, `out`.
pub static UNIFORM: Kernel = Kernel { name: "random_uniform", bindings: &[Read, Write] };
/// `out[i] = fma(z, b, a)`, z standard normal; params [`RandomParams`]; buffers `counter`, `out`.
pub static NORMAL: Kernel = Kernel { name: "random_normal", bindings: &[Read, Write] };
/// `out[i] = u < a ? b : c`, u uniform in [0, 1); params [`RandomParams`]; buffers `counter`, `out`.
/// Dropout with rate p: `a = p, b = 0, c = 1/(1-p)`. Bernoulli(q): `a = q, b = 1, c = 0`.
pub static MASK: Kernel = Kernel { name: "random_mask", bindings: &[Read, Write] };
/// `out[i] = floor(word * bound / 2^32)` as u32, below `bound` (the bits of `a`); every value has
/// probability `1/bound` to within `2^-32`; params [`RandomParams`]; buffers `counter`, `out`.
pub static BELOW: Kernel = Kernel { name: "random_below", bindings: &[Read, Write] };
/// `counter += by` (wrapping); params [`AdvanceParams`]; buffer `counter`. Geometry: one item.
pub static ADVANCE: Kernel = Kernel { name: "random_advance", bindings: &[Update] };

/// Parameters of every draw.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct RandomParams {
    /// Low and high word of the run's seed.
    pub seed: [u32; 2],
    /// Which stream of the seed.
    pub stream: u32,
    /// Added to the counter.
    pub step: u32,
    /// Which part of the step.
    pub part: u32,
    /// First word of the output to write.
    pub offset: u32,
    /// Number of elements.
    pub n: u32,
    /// First parameter of the distribution.
    pub a: f32,
    /// Second parameter of the distribution.
    pub b: f32,
    /// Third parameter of the distribution.
    pub c: f32,
}

/// Parameters of [`ADVANCE`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct AdvanceParams {
    /// Added to the counter.
    pub by: u32,
}
