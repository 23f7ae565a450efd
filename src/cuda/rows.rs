//! How rows and columns are shared out among threads, for the families that reduce them.

use super::plan::{Arg, Chip, Step};

/// The functions of a kernel that works on rows, for rows of up to 32, 256 and 2048 values and longer
/// ones. All take the same arguments; the first takes the threads of a row as well, the last one.
pub(super) type RowFunctions = [&'static str; 4];

/// The four functions of an entry.
macro_rules! row_functions {
    ($name:literal) => {
        [concat!($name, "_short"), concat!($name, "_warp"), concat!($name, "_block"), concat!($name, "_long")]
    };
}
pub(super) use row_functions;

/// A launch with these arguments after the params.
pub(super) fn launch(function: &'static str, blocks: u32, args: &[Arg]) -> Step {
    args.iter().fold(Step::new(function, 0, blocks), |step, arg| step.arg(*arg))
}

/// The buffers of these indices, as arguments.
pub(super) fn buffers<const N: usize>(indices: [u8; N]) -> [Arg; N] {
    indices.map(Arg::Buffer)
}

/// Blocks for `teams` teams of one block each.
pub(super) fn teams(teams: u64, chip: &Chip) -> u32 {
    teams.min(u64::from(chip.multiprocessors) * 16) as u32
}

/// Threads of a row of at most 32 values.
pub(super) fn width(n: u32) -> u32 {
    n.next_power_of_two().min(32)
}

/// A launch over `rows > 0` rows of `n` values.
pub(super) fn over_rows(functions: RowFunctions, args: &[Arg], rows: u32, n: u32, chip: &Chip) -> Step {
    let [short, warp, block, long] = functions;
    let rows = u64::from(rows);
    match n {
        0..=32 => launch(short, chip.sweep(rows * u64::from(width(n))), args).arg(Arg::Word(width(n))),
        33..=256 => launch(warp, chip.sweep(rows * 32), args),
        257..=2048 => launch(block, teams(rows, chip), args),
        _ => launch(long, teams(rows, chip), args),
    }
}

/// A launch over tiles of 32 columns, a thread for each column and block of 64 of its `n` rows, at
/// most 16 blocks at a time.
pub(super) fn over_columns(function: &'static str, args: &[Arg], tiles: u64, n: u32, chip: &Chip) -> Step {
    let blocks = n.div_ceil(64).clamp(1, 16);
    launch(function, 0, args).shaped([teams(tiles, chip), 1, 1], [32, blocks, 1])
}

/// A launch that maps over a matrix with threads that stay in their column.
pub(super) fn over_matrix(function: &'static str, args: &[Arg], rows: u32, columns: u32, chip: &Chip) -> Step {
    let across = columns.div_ceil(32);
    let down = rows.div_ceil(8).min((chip.multiprocessors * 8).div_ceil(across)).min(65535);
    launch(function, 0, args).shaped([across, down, 1], [32, 8, 1])
}
