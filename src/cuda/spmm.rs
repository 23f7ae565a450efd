//! Launches of `kernel::spmm`.

use super::plan::{Arg, ArgList, Chip, Plan, Planner, Step};
use crate::kernel::spmm::*;
use crate::kernel::{Kernel, params};

pub static KERNELS: [(&Kernel, Planner); 2] = [(&SPMM, spmm), (&TRANSPOSE, transpose)];

/// Threads of a block, all kernels but one.
const THREADS: u32 = 256;
/// Columns that a warp takes.
const ROW_COLUMNS: u32 = 128;

fn spmm(bytes: &[u8], _: [u32; 3], chip: &Chip) -> Plan {
    let p: SpmmParams = params(bytes);
    if p.m == 0 || p.n == 0 {
        return Plan::nothing();
    }
    let pieces = p.b_col == 1 && p.b_row % 4 == 0 && p.b_offset.is_multiple_of(4) && p.n.is_multiple_of(4);
    let function = if pieces { "spmm_rows_pieces" } else { "spmm_rows" };
    let warps = u64::from(p.m) * u64::from(p.n.div_ceil(ROW_COLUMNS));
    let most = u64::from(chip.multiprocessors) * 64;
    let blocks = warps.div_ceil(u64::from(THREADS / 32)).min(most) as u32;
    Plan::one(Step::new(function, 6, blocks))
}

/// Groups of rows that are counted apart, and words of scratch memory for their counts.
const GROUPS: u32 = 64;
const MAX_COUNTS: u32 = 1 << 24;

/// The function with the params and these arguments.
fn step(function: &'static str, blocks: u32, args: &[Arg]) -> Step {
    let args = args.iter().fold(ArgList::new().with(Arg::Params), |list, &arg| list.with(arg));
    Step { function, grid: [blocks, 1, 1], block: [THREADS, 1, 1], shared: 0, args }
}

fn transpose(bytes: &[u8], _: [u32; 3], chip: &Chip) -> Plan {
    let p: TransposeParams = params(bytes);
    let most = (MAX_COUNTS / p.cols.max(1)).clamp(1, GROUPS);
    let per_group = p.rows.div_ceil(most).max(1);
    let groups = p.rows.div_ceil(per_group).max(1);
    // The totals of the columns, then the counts of the groups.
    let (totals, counts) = (Arg::Scratch(0), Arg::Scratch(p.cols));
    let [indptr, indices, values] = [0, 1, 2].map(Arg::Buffer);
    let [indptr_t, indices_t, values_t] = [3, 4, 5].map(Arg::Buffer);
    let (rows, number) = (Arg::Word(per_group), Arg::Word(groups));
    let count = step("spmm_count", groups, &[indptr, indices, counts, rows]);
    let scan_groups = step("spmm_scan_groups", chip.sweep(p.cols.max(1).into()), &[counts, totals, number]);
    let scan_columns = step("spmm_scan_columns", 1, &[indptr_t, totals]);
    let scan_columns = scan_columns.shaped([1; 3], [1024, 1, 1]).shared(4 * 32);
    let place = [indptr, indices, values, indptr_t, indices_t, values_t, counts, rows];
    let place = step("spmm_place", groups, &place);
    let words = p.cols as usize * (groups as usize + 1);
    Plan::one(count).then(scan_groups).then(scan_columns).then(place).scratch(words)
}
