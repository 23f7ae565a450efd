//! Launches of `kernel::norm`.

use super::plan::{Arg, Plan, Planner, Step, buffers, groups, over_rows, sweep};
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

fn elements(rows: u32, columns: u32) -> u64 {
    u64::from(rows) * u64::from(columns)
}

fn batch_stats(bytes: &[u8]) -> Plan {
    let p: BatchStatsParams = params(bytes);
    sweep("norm_batch_stats", 4, p.features.into())
}

fn batch_apply(bytes: &[u8]) -> Plan {
    let p: BatchApplyParams = params(bytes);
    sweep("norm_batch_apply", 6, elements(p.rows, p.features))
}

fn batch_running(bytes: &[u8]) -> Plan {
    let p: BatchRunningParams = params(bytes);
    sweep("norm_batch_running", 4, p.features.into())
}

fn batch_grad(bytes: &[u8]) -> Plan {
    let p: BatchGradParams = params(bytes);
    if p.features == 0 {
        return Plan::nothing();
    }
    let [dy, x, mean, var, w, row_weights, dx, dw, db] = [0, 1, 2, 3, 4, 5, 6, 7, 8].map(Arg::Buffer);
    let args = [dy, x, mean, var, row_weights, dw, db, Arg::Scratch];
    let sums = Plan::one(Step::new("norm_batch_sums", &args, groups(p.features.into())));
    let plan = sums.scratch(1 + 4 * p.features as usize);
    if p.rows == 0 {
        return plan;
    }
    let args = [dy, x, w, row_weights, Arg::Scratch, dx];
    plan.then(Step::new("norm_batch_dx", &args, groups(elements(p.rows, p.features))))
}

fn layer(bytes: &[u8]) -> Plan {
    let p: LayerParams = params(bytes);
    if p.rows == 0 || p.n == 0 {
        return Plan::nothing();
    }
    Plan::one(over_rows("norm_layer", &buffers(4), p.rows, p.n))
}

fn layer_grad(bytes: &[u8]) -> Plan {
    let p: LayerParams = params(bytes);
    if p.n == 0 {
        return Plan::nothing();
    }
    let [x, w, dy, dx, dw, db] = [0, 1, 2, 3, 4, 5].map(Arg::Buffer);
    // Mean and inverse root of each row.
    let columns = Step::new("norm_layer_columns", &[x, dy, Arg::Scratch, dw, db], groups(p.n.into()));
    if p.rows == 0 {
        return Plan::one(columns).scratch(1);
    }
    let rows = over_rows("norm_layer_grad", &[x, w, dy, dx, Arg::Scratch], p.rows, p.n);
    Plan::one(rows).then(columns).scratch(2 * p.rows as usize)
}
