//! Launches of `kernel::reduce`.

use super::plan::{Arg, Chip, Plan, Planner, Step, sweep};
use super::rows::{buffers, launch, over_columns, teams, width};
use crate::kernel::reduce::{self, *};
use crate::kernel::{Kernel, params};

/// The kernels of the family, each with its planner.
pub static KERNELS: [(&Kernel, Planner); 5] =
    [(&LAST, last), (&AXIS, axis), (&reduce::ALL, all), (&ARG, arg), (&SCAN, scan)];

/// Threads of a block whose groups of lanes take turns.
const RELAY: [u32; 3] = [1024, 1, 1];

fn last(bytes: &[u8], _: [u32; 3], chip: &Chip) -> Plan {
    let p: LastParams = params(bytes);
    let rows = u64::from(p.rows);
    if rows == 0 {
        return Plan::nothing();
    }
    let args = &buffers([0, 1]);
    let chips = u64::from(chip.multiprocessors);
    Plan::one(if p.n <= 32 {
        launch("reduce_last_short", chip.sweep(rows * u64::from(width(p.n))), args).arg(Arg::Word(width(p.n)))
    } else if p.n >= 8192 && rows <= 2 * chips {
        launch("reduce_last_relay", 0, args).shaped([p.rows, 1, 1], RELAY)
    } else if p.n <= 512 || rows >= 32 * chips {
        launch("reduce_last_warp", chip.sweep(rows * 32), args)
    } else {
        launch("reduce_last_block", teams(rows, chip), args)
    })
}

fn axis(bytes: &[u8], _: [u32; 3], chip: &Chip) -> Plan {
    let p: AxisParams = params(bytes);
    let columns = u64::from(p.outer) * u64::from(p.inner);
    let blocks = u64::from(p.n.div_ceil(BLOCK as u32));
    let tiles = u64::from(p.outer) * u64::from(p.inner.div_ceil(32));
    if columns == 0 || blocks <= 1 || columns >= u64::from(chip.multiprocessors) * 1024 {
        return sweep("reduce_axis_columns", 2, columns, chip);
    }
    if blocks <= 64 {
        return Plan::one(over_columns("reduce_axis_tile", &buffers([0, 1]), tiles, p.n, chip));
    }
    let partial = launch("reduce_axis_partial", chip.sweep(columns * blocks), &[Arg::Buffer(0), Arg::Scratch(0)]);
    let join = launch("reduce_axis_join", chip.sweep(columns), &[Arg::Scratch(0), Arg::Buffer(1)]);
    Plan::one(partial).then(join).scratch((columns * blocks) as usize)
}

fn all(bytes: &[u8], _: [u32; 3], chip: &Chip) -> Plan {
    let p: AllParams = params(bytes);
    let step = |from: Arg, to: Arg, offset: u32, n: u32| -> Step {
        let segments = u64::from(n).div_ceil(SEGMENT as u64).max(1);
        let args = [from, to, Arg::Word(offset), Arg::Word(n)];
        launch("reduce_all_segments", 0, &args).shaped([teams(segments, chip), 1, 1], RELAY)
    };
    let segments = p.n.div_ceil(SEGMENT as u32);
    if segments <= 1 {
        return Plan::one(step(Arg::Buffer(0), Arg::Buffer(1), p.offset, p.n));
    }
    // At most 2^16 totals: one segment.
    let totals = step(Arg::Buffer(0), Arg::Scratch(0), p.offset, p.n);
    Plan::one(totals).then(step(Arg::Scratch(0), Arg::Buffer(1), 0, segments)).scratch(segments as usize)
}

fn arg(bytes: &[u8], _: [u32; 3], chip: &Chip) -> Plan {
    let p: AxisParams = params(bytes);
    let columns = u64::from(p.outer) * u64::from(p.inner);
    if p.inner != 1 || columns == 0 {
        return sweep("reduce_arg_columns", 2, columns, chip);
    }
    let threads = width(p.n);
    let blocks = chip.sweep(columns * u64::from(threads));
    Plan::one(launch("reduce_arg_rows", blocks, &buffers([0, 1])).arg(Arg::Word(threads)))
}

fn scan(bytes: &[u8], _: [u32; 3], chip: &Chip) -> Plan {
    let p: ScanParams = params(bytes);
    let columns = if p.n == 0 { 0 } else { u64::from(p.outer) * u64::from(p.inner) };
    sweep("reduce_scan", 2, columns, chip)
}
