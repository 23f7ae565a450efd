//! Launches of `kernel::sgld`.

use super::plan::{Plan, Planner, sweep};
use crate::kernel::sgld::*;
use crate::kernel::{Kernel, params};

/// The kernels of the family, each with its planner.
pub static KERNELS: [(&Kernel, Planner); 1] = [(&STEP, step)];

fn step(bytes: &[u8]) -> Plan {
    let p: SgldParams = params(bytes);
    // A thread per block of four elements.
    sweep("sgld_step", 3, u64::from(p.n).div_ceil(4))
}
