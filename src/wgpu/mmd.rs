//! Launches of `kernel::mmd`.

use super::plan::{Arg, Plan, Planner, Step, sweep, teams};
use crate::kernel::mmd::*;
use crate::kernel::{Kernel, params};

/// The kernels of the family, each with its planner.
pub static KERNELS: [(&Kernel, Planner); 4] =
    [(&ROWS, rows), (&APPLY, apply), (&APPLY_GRAD, apply_grad), (&APPLY_BOTH, apply_both)];

fn rows(bytes: &[u8]) -> Plan {
    let p: MmdParams = params(bytes);
    sweep("mmd_rows", 5, u64::from(p.m) * u64::from(p.n))
}

/// With no gradient wanted; its place takes any memory that nothing else writes.
fn apply(bytes: &[u8]) -> Plan {
    let p: MmdParams = params(bytes);
    let [v, out] = [4, 5].map(Arg::Buffer);
    one_side(Plan::default(), &p, [v, v, out, Arg::Scratch], false, false).scratch(1)
}

fn apply_grad(bytes: &[u8]) -> Plan {
    one_side(Plan::default(), &params(bytes), [4, 5, 6, 7].map(Arg::Buffer), true, false)
}

fn apply_both(bytes: &[u8]) -> Plan {
    let p: MmdParams = params(bytes);
    let plan = one_side(Plan::default(), &p, [4, 5, 6, 7].map(Arg::Buffer), true, false);
    one_side(plan, &p, [5, 4, 8, 9].map(Arg::Buffer), true, true)
}

/// Adds the step of one side; u, v, out and grad in their roles.
fn one_side(plan: Plan, p: &MmdParams, [u, v, out, grad]: [Arg; 4], gradients: bool, exchanged: bool) -> Plan {
    let [a, b, gamma, centre] = [0, 1, 2, 3].map(Arg::Buffer);
    let (points, x, y) = if exchanged { (p.n, b, a) } else { (p.m, a, b) };
    if points == 0 {
        return plan;
    }
    let step = Step::new("mmd_row", &[x, y, gamma, centre, u, v, out, grad], teams(points.into()));
    plan.then(step.word(exchanged.into()).word(gradients.into()))
}
