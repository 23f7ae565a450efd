//! Launches of `kernel::spmm`.

use super::plan::{Arg, ArgList, Chip, Plan, Planner, Step, ZEROS};
use crate::kernel::gemm::K_CHUNK;
use crate::kernel::spmm::*;
use crate::kernel::{Kernel, params};

/// The kernels of the family, each with its planner.
pub static KERNELS: [(&Kernel, Planner); 2] = [(&SPMM, spmm), (&TRANSPOSE, transpose)];

/// Threads of a block, all kernels but one.
const THREADS: u32 = 256;
/// Columns that a warp takes.
const ROW_COLUMNS: u32 = 128;

/// Columns that a block of `spmm_staged` takes, and rows of b that it holds: a chunk.
const STAGED_COLUMNS: u32 = 64;
/// Words of scratch memory that cutting k may cost.
const MAX_SCRATCH: u64 = 1 << 25;

/// A way to compute a product.
#[derive(Clone, Copy, Debug)]
pub enum Choice {
    /// Rows of b read where they lie.
    Rows,
    /// Chunks of them staged in shared memory for a group of rows.
    Staged {
        /// Rows of a block; a multiple of 16.
        group: u32,
        /// A block takes one chunk instead of all.
        parted: bool,
    },
}

fn chunks(p: &SpmmParams) -> u32 {
    p.k.div_ceil(K_CHUNK as u32)
}

impl Choice {
    /// Tiles of columns, groups of rows, chunks.
    fn grid(group: u32, parted: bool, p: &SpmmParams) -> [u32; 3] {
        [p.n.div_ceil(STAGED_COLUMNS), p.m.div_ceil(group), if parted { chunks(p).max(1) } else { 1 }]
    }

    /// Words of scratch memory: every chunk's totals.
    fn scratch(&self, p: &SpmmParams) -> u64 {
        match *self {
            Choice::Staged { group, parted: true } => {
                let words = Self::grid(group, true, p).map(u64::from).iter().product::<u64>();
                words * u64::from(group * STAGED_COLUMNS)
            }
            _ => 0,
        }
    }

    fn shared(group: u32, parted: bool) -> u32 {
        let chunk = K_CHUNK as u32 * STAGED_COLUMNS;
        let entries = 2 * THREADS;
        4 * (chunk + entries + 2 * group + if parted { 0 } else { group * STAGED_COLUMNS })
    }

    fn possible(&self, p: &SpmmParams, chip: &Chip) -> bool {
        let &Choice::Staged { group, parted } = self else { return true };
        let [x, y, z] = Self::grid(group, parted, p);
        let in_parts = || u64::from(x) * u64::from(y) <= ZEROS as u64 && self.scratch(p) <= MAX_SCRATCH;
        Self::shared(group, parted) <= chip.shared_per_block && y.max(z) <= 65535 && (!parted || in_parts())
    }

    /// Expected cycles, for comparison only. How many entries there are is known on the device alone;
    /// one in 16 is assumed.
    fn cycles(&self, p: &SpmmParams, chip: &Chip) -> u64 {
        let multiprocessors = u64::from(chip.multiprocessors.max(1));
        match *self {
            Choice::Rows => {
                // A row of b from the second-level cache for every entry, 24 bytes per cycle.
                let entries = u64::from(p.m) * u64::from(p.k.div_ceil(16));
                entries * u64::from(p.n) * 4 / (24 * multiprocessors) + 1000
            }
            Choice::Staged { group, parted } => {
                let [x, y, z] = Self::grid(group, parted, p).map(u64::from);
                let turns = if parted { 1 } else { u64::from(chunks(p)) };
                let depth = u64::from(p.k.min(K_CHUNK as u32));
                let turn = depth * 10 + u64::from(group.min(p.m)) * (depth / 6 + 20);
                let tail = if parted { 1500 + self.scratch(p) * 8 / (multiprocessors * 12) } else { 0 };
                (x * y * z).div_ceil(multiprocessors) * turns * turn + tail + 2000
            }
        }
    }

    /// The launch.
    pub fn plan(&self, p: &SpmmParams, chip: &Chip) -> Plan {
        let pieces = p.b_col == 1 && p.b_row % 4 == 0 && p.b_offset.is_multiple_of(4) && p.n.is_multiple_of(4);
        match *self {
            Choice::Rows => {
                let function = if pieces { "spmm_rows_pieces" } else { "spmm_rows" };
                let warps = u64::from(p.m) * u64::from(p.n.div_ceil(ROW_COLUMNS));
                let most = u64::from(chip.multiprocessors) * 64;
                let blocks = warps.div_ceil(u64::from(THREADS / 32)).min(most) as u32;
                Plan::one(Step::new(function, 6, blocks))
            }
            Choice::Staged { group, parted } => {
                let step = Step::new("spmm_staged", 6, 1)
                    .shaped(Self::grid(group, parted, p), [THREADS, 1, 1])
                    .shared(Self::shared(group, parted))
                    .arg(Arg::Scratch(0))
                    .arg(Arg::Zeros)
                    .arg(Arg::Word(group))
                    .arg(Arg::Word(pieces.into()))
                    .arg(Arg::Word(parted.into()));
                Plan::one(step).scratch(self.scratch(p) as usize)
            }
        }
    }
}

/// Whatever can compute a product on a chip.
pub fn choices(p: &SpmmParams, chip: &Chip) -> impl Iterator<Item = Choice> {
    let (p, chip) = (*p, *chip);
    let staged = [16, 32, 64, 128, 256].into_iter().flat_map(move |group| {
        let cuts = [false, true].into_iter().filter(move |&parted| !parted || chunks(&p) > 1);
        cuts.map(move |parted| Choice::Staged { group, parted })
    });
    std::iter::once(Choice::Rows).chain(staged).filter(move |choice| choice.possible(&p, &chip))
}

fn spmm(bytes: &[u8], _: [u32; 3], chip: &Chip) -> Plan {
    let p: SpmmParams = params(bytes);
    if p.m == 0 || p.n == 0 {
        return Plan::nothing();
    }
    let best = choices(&p, chip).min_by_key(|choice| choice.cycles(&p, chip));
    best.unwrap_or(Choice::Rows).plan(&p, chip)
}

/// Groups of rows that are counted apart, and words of scratch memory for their counts.
const GROUPS: u32 = 64;
const MAX_COUNTS: u32 = 1 << 24;

/// The function with the params and these arguments.
fn step(function: &'static str, blocks: u32, args: &[Arg]) -> Step {
    let args = args.iter().fold(ArgList::new().with(Arg::Params), |list, &arg| list.with(arg));
    Step { function, module: None, grid: [blocks, 1, 1], block: [THREADS, 1, 1], shared: 0, args }
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
