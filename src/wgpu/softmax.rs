//! Launches of `kernel::softmax`.

use super::plan::{Plan, Planner, buffers, over_rows};
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

fn rows(entry: &'static str, count: u8, rows: u32, n: u32) -> Plan {
    if rows == 0 { Plan::nothing() } else { Plan::one(over_rows(entry, &buffers(count), rows, n)) }
}

fn of_logits(entry: &'static str, bytes: &[u8]) -> Plan {
    let p: SoftmaxParams = params(bytes);
    rows(entry, 2, p.rows, p.n)
}

fn softmax(bytes: &[u8]) -> Plan {
    of_logits("softmax_softmax", bytes)
}

fn log(bytes: &[u8]) -> Plan {
    of_logits("softmax_log", bytes)
}

fn lse(bytes: &[u8]) -> Plan {
    of_logits("softmax_lse", bytes)
}

fn cross_entropy(bytes: &[u8]) -> Plan {
    let p: CrossEntropyParams = params(bytes);
    rows("softmax_cross_entropy", 3, p.rows, p.n)
}

fn cross_entropy_grad(bytes: &[u8]) -> Plan {
    let p: CrossEntropyParams = params(bytes);
    rows("softmax_cross_entropy_grad", 4, p.rows, p.n)
}
