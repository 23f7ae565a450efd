//! Launches of `kernel::spmm`.

use super::gemm::activation;
use super::plan::{Arg, Plan, Planner, Step, buffers, groups};
use crate::kernel::spmm::*;
use crate::kernel::{Kernel, params};

/// The kernels of the family, each with its planner.
pub static KERNELS: [(&Kernel, Planner); 2] = [(&SPMM, spmm), (&TRANSPOSE, transpose)];

/// Workgroups that sweep over entries, whose number only the device knows.
const ENTRIES: u32 = 256;

fn spmm(bytes: &[u8]) -> Plan {
    let p: SpmmParams = params(bytes);
    match u64::from(p.m) * u64::from(p.n) {
        0 => Plan::nothing(),
        n => Plan::one(Step::new("spmm", &buffers(6), groups(n)).choose("$ACTIVATION", activation(&p.epilogue))),
    }
}

fn transpose(bytes: &[u8]) -> Plan {
    let p: TransposeParams = params(bytes);
    let [indptr, indices, values, indptr_t, indices_t, values_t] = [0, 1, 2, 3, 4, 5].map(Arg::Buffer);
    let columns = groups(p.cols.into());
    let starts = Step::new("transpose_starts", &[Arg::Scratch, indptr_t], 1);
    if p.cols == 0 {
        return Plan::one(starts).scratch(1);
    }
    Plan::one(Step::new("transpose_clear", &[Arg::Scratch], columns))
        .then(Step::new("transpose_count", &[indptr, indices, Arg::Scratch], ENTRIES))
        .then(starts)
        .then(Step::new("transpose_place", &[indptr, indices, Arg::Scratch, indices_t], ENTRIES))
        .then(Step::new("transpose_sort", &[indptr, values, indptr_t, indices_t, values_t], columns))
        .scratch(p.cols as usize)
}
