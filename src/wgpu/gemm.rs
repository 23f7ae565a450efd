//! Launches of `kernel::gemm`.

use super::plan::{GROUPS, Plan, Planner, Step, buffers};
use crate::kernel::gemm::*;
use crate::kernel::{Kernel, params};

/// The kernels of the family, each with its planner.
pub static KERNELS: [(&Kernel, Planner); 1] = [(&GEMM, gemm)];

/// In the order of [`Activation::ALL`].
const ACTIVATIONS: [&str; 7] = [
    "activation_none",
    "activation_relu",
    "activation_leaky_relu",
    "activation_elu",
    "activation_tanh",
    "activation_sigmoid",
    "activation_softplus",
];

/// The function of an epilogue's activation.
pub(super) fn activation(epilogue: &Epilogue) -> &'static str {
    ACTIVATIONS[epilogue.activation as usize]
}

/// Elements of an output for which large tiles leave enough workgroups: 64 of them.
const LARGE: u64 = 64 * 64 * 64;

fn gemm(bytes: &[u8]) -> Plan {
    let p: GemmParams = params(bytes);
    let elements = p.products() as u64 * u64::from(p.m) * u64::from(p.n);
    if elements == 0 {
        return Plan::nothing();
    }
    let large = p.m.min(p.n) > 16 && elements >= LARGE;
    let (entry, side) = if large { ("gemm_64", 64) } else { ("gemm_16", 16) };
    let grid = [p.n.div_ceil(side), p.m.div_ceil(side), (p.products() as u32).min(GROUPS)];
    Plan::one(Step::new(entry, &buffers(5), 0).grid(grid).choose("$ACTIVATION", activation(&p.epilogue)))
}
