//! Launches of `kernel::norm`.

use super::plan::{Arg, Chip, Plan, Planner, sweep};
use super::rows::{buffers, over_columns, over_matrix, over_rows, row_functions};
use crate::kernel::norm::*;
use crate::kernel::{Kernel, params};

/// The kernels of the family, each with its planner.
pub static KERNELS: [(&Kernel, Planner); 6] = [
    (&BATCH_STATS, batch_stats),
    (&BATCH_APPLY, batch_apply),
    (&BATCH_RUNNING, batch_running),
    (&BATCH_GRAD, batch_grad),
    (&LAYER, layer),
    (&LAYER_GRAD, layer_grad),
];

/// Tiles of 32 columns.
fn tiles(columns: u32) -> u64 {
    columns.div_ceil(32).into()
}

fn batch_stats(bytes: &[u8], _: [u32; 3], chip: &Chip) -> Plan {
    let p: BatchStatsParams = params(bytes);
    if p.features == 0 {
        return Plan::nothing();
    }
    Plan::one(over_columns("norm_batch_stats", &buffers([0, 1, 2, 3]), tiles(p.features), p.rows, chip))
}

fn batch_apply(bytes: &[u8], _: [u32; 3], chip: &Chip) -> Plan {
    let p: BatchApplyParams = params(bytes);
    if p.rows == 0 || p.features == 0 {
        return Plan::nothing();
    }
    Plan::one(over_matrix("norm_batch_apply", &buffers([0, 1, 2, 3, 4, 5]), p.rows, p.features, chip))
}

fn batch_running(bytes: &[u8], _: [u32; 3], chip: &Chip) -> Plan {
    let p: BatchRunningParams = params(bytes);
    sweep("norm_batch_running", 4, p.features.into(), chip)
}

fn batch_grad(bytes: &[u8], _: [u32; 3], chip: &Chip) -> Plan {
    let p: BatchGradParams = params(bytes);
    if p.features == 0 {
        return Plan::nothing();
    }
    let [dy, x, mean, var, w, row_weights, dx, dw, db] = buffers([0, 1, 2, 3, 4, 5, 6, 7, 8]);
    let total = Arg::Scratch(0);
    let args = [dy, x, mean, var, row_weights, dw, db, total];
    let sums = Plan::one(over_columns("norm_batch_sums", &args, tiles(p.features), p.rows, chip)).scratch(1);
    if p.rows == 0 {
        return sums;
    }
    let args = [dy, x, mean, var, w, row_weights, dx, dw, db, total];
    sums.then(over_matrix("norm_batch_dx", &args, p.rows, p.features, chip))
}

fn layer(bytes: &[u8], _: [u32; 3], chip: &Chip) -> Plan {
    let p: LayerParams = params(bytes);
    if p.rows == 0 || p.n == 0 {
        return Plan::nothing();
    }
    Plan::one(over_rows(row_functions!("norm_layer"), &buffers([0, 1, 2, 3]), p.rows, p.n, chip))
}

fn layer_grad(bytes: &[u8], _: [u32; 3], chip: &Chip) -> Plan {
    let p: LayerParams = params(bytes);
    if p.n == 0 {
        return Plan::nothing();
    }
    let [x, w, dy, dx, dw, db] = buffers([0, 1, 2, 3, 4, 5]);
    // Mean and inverse root of each row.
    let stats = Arg::Scratch(0);
    let columns = over_columns("norm_layer_columns", &[x, dy, stats, dw, db], tiles(p.n), p.rows, chip);
    if p.rows == 0 {
        return Plan::one(columns).scratch(1);
    }
    let rows = over_rows(row_functions!("norm_layer_grad"), &[x, w, dy, dx, stats], p.rows, p.n, chip);
    Plan::one(rows).then(columns).scratch(2 * p.rows as usize)
}
