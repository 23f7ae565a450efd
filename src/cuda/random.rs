//! Launches of `kernel::random`.

use super::plan::{Chip, Plan, Planner, sweep};
use crate::kernel::random::*;
use crate::kernel::{Kernel, params};

/// The kernels of the family, each with its planner.
pub static KERNELS: [(&Kernel, Planner); 5] =
    [(&UNIFORM, uniform), (&NORMAL, normal), (&MASK, mask), (&BELOW, below), (&ADVANCE, advance)];

/// A thread per block of four elements.
fn fill(function: &'static str, bytes: &[u8], chip: &Chip) -> Plan {
    let p: RandomParams = params(bytes);
    sweep(function, 2, u64::from(p.n).div_ceil(4), chip)
}

fn uniform(bytes: &[u8], _: [u32; 3], chip: &Chip) -> Plan {
    fill("random_uniform", bytes, chip)
}

fn normal(bytes: &[u8], _: [u32; 3], chip: &Chip) -> Plan {
    fill("random_normal", bytes, chip)
}

fn mask(bytes: &[u8], _: [u32; 3], chip: &Chip) -> Plan {
    fill("random_mask", bytes, chip)
}

fn below(bytes: &[u8], _: [u32; 3], chip: &Chip) -> Plan {
    fill("random_below", bytes, chip)
}

fn advance(_: &[u8], _: [u32; 3], chip: &Chip) -> Plan {
    sweep("random_advance", 1, 1, chip)
}
