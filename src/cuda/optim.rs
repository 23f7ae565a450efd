//! Launches of `kernel::optim`: one each.

use super::plan::{Chip, Plan, Planner, sweep};
use crate::kernel::optim::*;
use crate::kernel::{Kernel, params};

macro_rules! rule {
    ($kernel:ident, $function:literal) => {
        (&$kernel, |bytes, _, chip| each($function, $kernel.bindings.len(), bytes, chip))
    };
}

/// The kernels of the family, each with its planner.
pub static KERNELS: [(&Kernel, Planner); 9] = [
    rule!(SGD, "optim_sgd"),
    rule!(MOMENTUM, "optim_momentum"),
    rule!(ADAM, "optim_adam"),
    rule!(AMSGRAD, "optim_amsgrad"),
    rule!(ADADELTA, "optim_adadelta"),
    rule!(RMSPROP, "optim_rmsprop"),
    rule!(ADAGRAD, "optim_adagrad"),
    rule!(ADAMAX, "optim_adamax"),
    rule!(EMA, "optim_ema"),
];

/// A thread per four elements.
fn each(function: &'static str, buffers: usize, bytes: &[u8], chip: &Chip) -> Plan {
    let p: OptimParams = params(bytes);
    sweep(function, buffers as u8, u64::from(p.n).div_ceil(4), chip)
}
