//! Launches of `kernel::optim`.

use super::plan::{Plan, Planner, sweep};
use crate::kernel::optim::*;
use crate::kernel::{Kernel, params};

/// The kernels of the family, each with its planner.
pub static KERNELS: [(&Kernel, Planner); 9] = [
    (&SGD, |p| range("optim_sgd", 3, p)),
    (&MOMENTUM, |p| range("optim_momentum", 4, p)),
    (&ADAM, |p| range("optim_adam", 5, p)),
    (&AMSGRAD, |p| range("optim_amsgrad", 6, p)),
    (&ADADELTA, |p| range("optim_adadelta", 5, p)),
    (&RMSPROP, |p| range("optim_rmsprop", 4, p)),
    (&ADAGRAD, |p| range("optim_adagrad", 4, p)),
    (&ADAMAX, |p| range("optim_adamax", 5, p)),
    (&EMA, |p| range("optim_ema", 3, p)),
];

fn range(entry: &'static str, buffers: u8, bytes: &[u8]) -> Plan {
    let p: OptimParams = params(bytes);
    sweep(entry, buffers, p.n.into())
}
