//! Launches of `kernel::gather`.

use super::plan::{Plan, Planner, Step, buffers, groups, sweep};
use crate::kernel::gather::*;
use crate::kernel::{Kernel, params};

/// The kernels of the family, each with its planner.
pub static KERNELS: [(&Kernel, Planner); 7] = [
    (&COPY, copy),
    (&ROWS, rows),
    (&SCATTER_ROWS, scatter_rows),
    (&ADD_ROWS, add_rows),
    (&ALONG, along),
    (&ADD_ALONG, add_along),
    (&ONE_HOT, one_hot),
];

fn copy(bytes: &[u8]) -> Plan {
    let p: CopyParams = params(bytes);
    if p.src.is_empty() {
        return Plan::nothing();
    }
    let flat = p.src.is_contiguous() && p.dst.is_contiguous();
    let step = Step::new("gather_copy", &buffers(2), groups(p.src.len() as u64));
    Plan::one(step.choose("$PLACE", if flat { "flat" } else { "strided" }))
}

fn moved(p: &RowsParams) -> u64 {
    u64::from(p.m) * u64::from(p.width)
}

fn rows(bytes: &[u8]) -> Plan {
    sweep("gather_rows", 3, moved(&params(bytes)))
}

fn scatter_rows(bytes: &[u8]) -> Plan {
    sweep("gather_scatter_rows", 3, moved(&params(bytes)))
}

fn add_rows(bytes: &[u8]) -> Plan {
    let p: RowsParams = params(bytes);
    sweep("gather_add_rows", 3, u64::from(p.n_rows) * u64::from(p.width))
}

fn along(bytes: &[u8]) -> Plan {
    let p: AlongParams = params(bytes);
    sweep("gather_along", 3, u64::from(p.outer) * u64::from(p.m) * u64::from(p.inner))
}

fn add_along(bytes: &[u8]) -> Plan {
    let p: AlongParams = params(bytes);
    let columns = u64::from(p.outer) * u64::from(p.inner);
    let outputs = columns * u64::from(p.n);
    // Looking through all indices for every output costs n m per column, adding in place n + m.
    if outputs == 0 || p.m <= 4 || columns < 64 {
        sweep("gather_add_along", 3, outputs)
    } else {
        sweep("gather_add_along_columns", 3, columns)
    }
}

fn one_hot(bytes: &[u8]) -> Plan {
    let p: OneHotParams = params(bytes);
    sweep("gather_one_hot", 2, u64::from(p.m) * u64::from(p.classes))
}
