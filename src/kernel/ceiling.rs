//! The rate of fused multiply-adds in registers, which no kernel exceeds: for `cytograd bench`. Nothing is
//! computed with it, and the CPU measures its own.

use super::{Access::Write, Kernel};
use bytemuck::{Pod, Zeroable};

/// `out[i]`: the sum over j < 8 of `v_j = i + j` after `steps` times `v_j = fma(v_j, a, b)`; params
/// [`CeilingParams`]; buffer `out` `[n]`.
pub static FMA: Kernel = Kernel { name: "ceiling_fma", bindings: &[Write] };

/// Parameters of [`FMA`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct CeilingParams {
    /// Number of elements, a chain of eight values each.
    pub n: u32,
    /// A multiple of 16.
    pub steps: u32,
    /// Factor.
    pub a: f32,
    /// Summand.
    pub b: f32,
}
