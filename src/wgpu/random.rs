//! Launches of `kernel::random`.

use super::plan::{Plan, Planner, Step, buffers, groups, sweep};
use crate::kernel::random::*;
use crate::kernel::{Kernel, params};

/// The kernels of the family, each with its planner.
pub static KERNELS: [(&Kernel, Planner); 5] =
    [(&UNIFORM, uniform), (&NORMAL, normal), (&MASK, mask), (&BELOW, below), (&ADVANCE, advance)];

/// A thread per block of four elements.
fn fill(draw: &'static str, bytes: &[u8]) -> Plan {
    let p: RandomParams = params(bytes);
    if p.n == 0 {
        return Plan::nothing();
    }
    let groups = groups(u64::from(p.n).div_ceil(4));
    Plan::one(Step::new("random_fill", &buffers(2), groups).choose("$DRAW", draw))
}

fn uniform(bytes: &[u8]) -> Plan {
    fill("draw_uniform", bytes)
}

fn normal(bytes: &[u8]) -> Plan {
    fill("draw_normal", bytes)
}

fn mask(bytes: &[u8]) -> Plan {
    fill("draw_mask", bytes)
}

fn below(bytes: &[u8]) -> Plan {
    fill("draw_below", bytes)
}

fn advance(_: &[u8]) -> Plan {
    sweep("random_advance", 1, 1)
}
