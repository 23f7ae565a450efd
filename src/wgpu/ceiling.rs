//! Launches of `kernel::ceiling`.

use super::plan::{Plan, Planner, sweep};
use crate::kernel::ceiling::*;
use crate::kernel::{Kernel, params};

/// See [`super::FAMILIES`].
pub static KERNELS: [(&Kernel, Planner); 1] = [(&FMA, fma)];

fn fma(bytes: &[u8]) -> Plan {
    let p: CeilingParams = params(bytes);
    sweep("ceiling_fma", 1, p.n.into())
}
