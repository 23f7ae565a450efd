//! The rate of fused multiply-adds in registers, which no kernel exceeds: for `cytograd bench`.

use super::plan::{Chip, Plan, Planner, sweep};
use crate::kernel::{Access::Write, Kernel, params};
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

/// See [`super::FAMILIES`].
pub static KERNELS: [(&Kernel, Planner); 1] = [(&FMA, fma)];

fn fma(bytes: &[u8], _: [u32; 3], chip: &Chip) -> Plan {
    let p: CeilingParams = params(bytes);
    sweep("ceiling_fma", 1, p.n.into(), chip)
}
