//! Launches of `kernel::reduce`.

use super::plan::{Arg, Plan, Planner, Step, buffers, groups, over_rows, sweep, teams};
use crate::kernel::reduce::{
    self, ALL, ARG, AXIS, AllParams, AxisParams, BLOCK, LAST, LastParams, Reduce, SCAN, SEGMENT, ScanParams,
};
use crate::kernel::{Kernel, params};

/// The kernels of the family, each with its planner.
pub static KERNELS: [(&Kernel, Planner); 5] = [(&LAST, last), (&AXIS, axis), (&ALL, all), (&ARG, arg), (&SCAN, scan)];

/// Columns from which a thread per column keeps an adapter busy.
const MANY: u64 = 1 << 14;

fn joining(step: Step, op: u32) -> Step {
    let (join, identity) = match Reduce::from_code(op) {
        Some(Reduce::Max) => ("larger", "lowest()"),
        Some(Reduce::Min) => ("smaller", "highest()"),
        _ => ("plus", "zero()"),
    };
    step.choose("$JOIN", join).choose("$IDENTITY", identity)
}

fn last(bytes: &[u8]) -> Plan {
    let p: LastParams = params(bytes);
    if p.rows == 0 {
        return Plan::nothing();
    }
    Plan::one(joining(over_rows("reduce_last", &buffers(2), p.rows, p.n), p.op))
}

fn axis(bytes: &[u8]) -> Plan {
    let p: AxisParams = params(bytes);
    let columns = u64::from(p.outer) * u64::from(p.inner);
    let blocks = u64::from(p.n.div_ceil(BLOCK as u32));
    if columns == 0 {
        return Plan::nothing();
    }
    if blocks <= 1 || columns >= MANY {
        return Plan::one(joining(Step::new("reduce_axis", &buffers(2), groups(columns)), p.op));
    }
    let parts = [Arg::Buffer(0), Arg::Scratch];
    let totals = [Arg::Scratch, Arg::Buffer(1)];
    Plan::one(joining(Step::new("reduce_axis_blocks", &parts, groups(columns * blocks)), p.op))
        .then(joining(Step::new("reduce_axis_totals", &totals, groups(columns)), p.op))
        .scratch((columns * blocks) as usize)
}

fn all(bytes: &[u8]) -> Plan {
    let p: AllParams = params(bytes);
    let step = |from: Arg, to: Arg, offset: u32, n: u32| {
        let segments = u64::from(n).div_ceil(SEGMENT as u64).max(1);
        joining(Step::new("reduce_segments", &[from, to], teams(segments)), p.op).word(offset).word(n)
    };
    let segments = p.n.div_ceil(SEGMENT as u32);
    if segments <= 1 {
        return Plan::one(step(Arg::Buffer(0), Arg::Buffer(1), p.offset, p.n));
    }
    // At most 2^16 totals: one segment.
    Plan::one(step(Arg::Buffer(0), Arg::Scratch, p.offset, p.n))
        .then(step(Arg::Scratch, Arg::Buffer(1), 0, segments))
        .scratch(segments as usize)
}

fn arg(bytes: &[u8]) -> Plan {
    let p: AxisParams = params(bytes);
    let more_extreme = match reduce::Arg::from_code(p.op) {
        Some(reduce::Arg::Min) => "more_extreme_min",
        _ => "more_extreme_max",
    };
    match u64::from(p.outer) * u64::from(p.inner) {
        0 => Plan::nothing(),
        columns => {
            let step = Step::new("reduce_arg", &buffers(2), groups(columns));
            Plan::one(step.choose("$MORE_EXTREME", more_extreme))
        }
    }
}

fn scan(bytes: &[u8]) -> Plan {
    let p: ScanParams = params(bytes);
    let columns = if p.n == 0 { 0 } else { u64::from(p.outer) * u64::from(p.inner) };
    sweep("reduce_scan", 2, columns)
}
