//! Launches of `kernel::softmax`.

use super::plan::{Arg, Chip, Plan, Planner};
use super::rows::{RowFunctions, buffers, over_rows, row_functions};
use crate::kernel::softmax::*;
use crate::kernel::{Kernel, params};

/// The kernels of the family, each with its planner.
pub static KERNELS: [(&Kernel, Planner); 5] = [
    (&SOFTMAX, softmax),
    (&LOG, log),
    (&LSE, lse),
    (&CROSS_ENTROPY, cross_entropy),
    (&CROSS_ENTROPY_GRAD, cross_entropy_grad),
];

fn rows(functions: RowFunctions, args: &[Arg], rows: u32, n: u32, chip: &Chip) -> Plan {
    if rows == 0 { Plan::nothing() } else { Plan::one(over_rows(functions, args, rows, n, chip)) }
}

fn of_logits(functions: RowFunctions, bytes: &[u8], chip: &Chip) -> Plan {
    let p: SoftmaxParams = params(bytes);
    rows(functions, &buffers([0, 1]), p.rows, p.n, chip)
}

fn softmax(bytes: &[u8], _: [u32; 3], chip: &Chip) -> Plan {
    of_logits(row_functions!("softmax_softmax"), bytes, chip)
}

fn log(bytes: &[u8], _: [u32; 3], chip: &Chip) -> Plan {
    of_logits(row_functions!("softmax_log"), bytes, chip)
}

fn lse(bytes: &[u8], _: [u32; 3], chip: &Chip) -> Plan {
    of_logits(row_functions!("softmax_lse"), bytes, chip)
}

fn cross_entropy(bytes: &[u8], _: [u32; 3], chip: &Chip) -> Plan {
    let p: CrossEntropyParams = params(bytes);
    rows(row_functions!("softmax_cross_entropy"), &buffers([0, 1, 2]), p.rows, p.n, chip)
}

fn cross_entropy_grad(bytes: &[u8], _: [u32; 3], chip: &Chip) -> Plan {
    let p: CrossEntropyParams = params(bytes);
    rows(row_functions!("softmax_cross_entropy_grad"), &buffers([0, 1, 2, 3]), p.rows, p.n, chip)
}
