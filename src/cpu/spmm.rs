//! Fast form of `kernel::spmm`: columns of the dense matrix in tiles, chunk by chunk, so that what
//! the entries of many rows pick from stays in the first-level cache.

mod cut;
mod transpose;

use super::gemm::{Block, Shared, View, finish, pack};
use super::lanes::{Four, Lanes, dispatch, with_scratch};
use super::{Function, Threads};
use crate::kernel::gemm::K_CHUNK;
use crate::kernel::spmm::*;
use crate::kernel::{Kernel, params};
use crate::reference::{floats, floats_mut};
use cut::{Cut, Run};
use std::ops::Range;

/// The family's entries.
pub static KERNELS: [(&Kernel, Function); 2] = [(&SPMM, spmm), (&TRANSPOSE, transpose::transpose)];

/// Columns of a tile: a chunk of it (32 KiB) fits the first-level cache.
const WIDTH: usize = 32;
/// Columns that are copied at a time: a chunk of them fits the second-level cache.
const GROUP: usize = 8 * WIDTH;
/// Values in a cache line.
const LINE: usize = 16;
/// Entries per chunk below which copying the dense matrix does not pay.
const FEW: usize = 384;

/// One task: some columns of some rows.
struct Job<'a> {
    a: &'a Cut<'a>,
    b: View<'a>,
    out: &'a Shared<f32>,
    /// Columns of the whole output.
    n: usize,
    k: usize,
    cols: Range<usize>,
    /// Blocks of rows, see [`Cut`].
    blocks: Range<usize>,
    /// Read rows of the dense matrix from where they are.
    in_place: bool,
    finish: &'a (dyn Fn(Range<usize>, Range<usize>) + Sync),
}

fn spmm(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]], threads: &Threads) {
    let p: SpmmParams = params(bytes);
    let (m, n, k) = (p.m as usize, p.n as usize, p.k as usize);
    if m * n == 0 {
        return;
    }
    let indptr = &inputs[0][p.indptr_offset as usize..][..m + 1];
    let bias = match p.epilogue.bias {
        0 => &[][..],
        _ => &floats(inputs[4])[p.epilogue.bias_offset as usize..][..n],
    };
    let (start, row, col) = (p.b_offset as isize, p.b_row as isize, p.b_col as isize);
    let b = View { data: floats(inputs[3]), start, row, col };
    assert!(b.fits(k, n), "spmm: the dense matrix lies outside of its buffer");
    let out = Shared::new(floats_mut(&mut outputs[0][..m * n]));
    let finish = |rows: Range<usize>, cols: Range<usize>| {
        let bias = if bias.is_empty() { bias } else { &bias[cols.clone()] };
        let block = Block { first: rows.start * n + cols.start, step: n, rows: rows.len(), cols: cols.len() };
        // SAFETY: the task that calls this is the only one that touches this block.
        unsafe { finish(&p.epilogue, &out, &block, bias, &[]) };
    };
    let mut runs = Vec::new();
    let a = Cut::new(indptr, inputs[1], floats(inputs[2]), k, threads.count(), &mut runs);
    // Cut between columns first: then every row of the dense matrix is copied once. Two parts for
    // each thread even out a busy core.
    let tiles = n.div_ceil(WIDTH);
    let col_parts = if threads.count() == 1 { 1 } else { tiles.min(2 * threads.count()) };
    let row_parts = threads.count().div_ceil(col_parts).min(a.blocks());
    let (tiles_per, blocks_per) = (tiles.div_ceil(col_parts), a.blocks().div_ceil(row_parts));
    let (col_parts, row_parts) = (tiles.div_ceil(tiles_per), a.blocks().div_ceil(blocks_per));
    let entries = (indptr[m] - indptr[0]) as usize;
    let in_place = b.col == 1 && entries < FEW * a.chunks();
    let work = (entries * 2 + m * a.chunks() * 4) * tiles;
    threads.stages([a.blocks(), col_parts * row_parts], work, |stage, task| {
        if stage == 0 {
            // SAFETY: one task per block, and nobody reads it in this stage.
            return unsafe { a.cut(task) };
        }
        let (rows, cols) = (task / col_parts * blocks_per, task % col_parts * tiles_per * WIDTH);
        let job = Job {
            a: &a,
            b,
            out: &out,
            n,
            k,
            cols: cols..n.min(cols + tiles_per * WIDTH),
            blocks: rows..a.blocks().min(rows + blocks_per),
            in_place,
            finish: &finish,
        };
        // SAFETY: all blocks are cut and their entries checked, the dense matrix lies in its buffer, the
        // output has m * n elements, and no other task has these columns of these rows.
        with_scratch(K_CHUNK * GROUP, |packed| unsafe { run(&job, packed) });
    });
}

dispatch! {
    /// # Safety
    /// The job's matrices are as large as it says, and no other task has its part of the output;
    /// `packed` has room for a chunk of a group of columns.
    unsafe fn run(job: &Job, packed: *mut f32) via
        run_with::<std::arch::x86_64::__m512, 2, 1, 4>,
        run_with::<std::arch::x86_64::__m256, 4, 2, 2>,
        run_with::<Four, 8, 4, 1>
}

/// `T` registers make a tile, `H` half of one; `G` runs are added up at a time. No closure here: it
/// would be compiled without the instructions of `V`.
///
/// # Safety
/// As `run`; the processor has the instructions of `V`.
#[inline(always)]
unsafe fn run_with<V: Lanes, const T: usize, const H: usize, const G: usize>(job: &Job, packed: *mut f32) {
    let (a, b) = (job.a, &job.b);
    for group in job.cols.clone().step_by(GROUP) {
        let cols = GROUP.min(job.cols.end - group);
        // Without a chunk there is nothing to add up, but still something to write.
        for chunk in 0..a.chunks().max(1) {
            let from = chunk * K_CHUNK;
            let depth = K_CHUNK.min(job.k - from);
            // Rows of the dense matrix can be read in place but for the last, narrow tile.
            let skip = if job.in_place { cols / WIDTH * WIDTH } else { 0 };
            // SAFETY: rows from.. and columns group.. exist; the scratch has room for the group.
            // Runs name rows of this task and entries whose indices lie in the chunk.
            unsafe {
                if skip < cols && depth > 0 {
                    pack::panels(b, from, depth, group + skip, cols - skip, WIDTH, packed.add(skip * depth));
                }
                for block in job.blocks.clone() {
                    let runs = a.runs(block, chunk);
                    for tile in (0..cols).step_by(WIDTH) {
                        let col = group + tile;
                        let to = Target { out: job.out.at(col), step: job.n, first: chunk == 0 };
                        let width = WIDTH.min(cols - tile);
                        let panel = packed.wrapping_add(tile * depth).wrapping_sub(from * WIDTH);
                        if width < WIDTH {
                            if width > WIDTH / 2 {
                                narrow::<V, T>(a, runs, panel, width, to);
                            } else {
                                narrow::<V, H>(a, runs, panel, width, to);
                            }
                        } else if tile < skip {
                            whole::<V, T, G>(a, runs, b.pointer(0, col), b.row, to);
                        } else {
                            whole::<V, T, G>(a, runs, panel, WIDTH as isize, to);
                        }
                    }
                }
            }
        }
        for block in job.blocks.clone() {
            (job.finish)(a.rows(block), group..group + cols);
        }
    }
}

/// Column `out` of a tile in row 0, distance of rows; if `first`, the old sums are not read.
#[derive(Clone, Copy)]
struct Target {
    out: *mut f32,
    step: usize,
    first: bool,
}

/// Adds the runs' sums to whole tiles. `tile` points to where column index 0 would lie.
///
/// # Safety
/// The runs' rows lie in the tile and in the output.
#[inline(always)]
unsafe fn whole<V: Lanes, const T: usize, const G: usize>(
    a: &Cut,
    runs: &[Run],
    tile: *const f32,
    step: isize,
    to: Target,
) {
    let (groups, rest) = runs.as_chunks::<G>();
    // SAFETY: the caller's.
    unsafe {
        for (i, group) in groups.iter().enumerate() {
            // Rows come in no order; those not written before come into the cache ahead of time.
            if let Some(group) = groups.get(i + 2).filter(|_| to.first) {
                for run in group {
                    let row = to.out.wrapping_add(run.row as usize * to.step);
                    V::prefetch(row);
                    V::prefetch(row.wrapping_add(LINE));
                }
            }
            let chains = chains::<V, T, G>(a, group, tile, step);
            for (run, chain) in group.iter().zip(&chains) {
                add::<V, T>(chain, run, to);
            }
        }
        for run in rest {
            let [chain] = chains::<V, T, 1>(a, &[*run], tile, step);
            add::<V, T>(&chain, run, to);
        }
    }
}

/// Adds a run's sum to its row of the tile.
///
/// # Safety
/// The row lies in the output.
#[inline(always)]
unsafe fn add<V: Lanes, const T: usize>(chain: &[V; T], run: &Run, to: Target) {
    // SAFETY: the caller's.
    unsafe {
        let row = to.out.add(run.row as usize * to.step);
        for (t, &y) in chain.iter().enumerate() {
            let lanes = row.add(t * V::LEN);
            let sum = if to.first { y } else { V::load(lanes).add(y) };
            sum.store(lanes);
        }
    }
}

/// As [`whole`] for a tile of which only `cols` columns exist.
///
/// # Safety
/// As `whole`; all of the tile is in the scratch.
#[inline(always)]
unsafe fn narrow<V: Lanes, const T: usize>(a: &Cut, runs: &[Run], tile: *const f32, cols: usize, to: Target) {
    for run in runs {
        let mut sums = [0.0f32; WIDTH];
        // SAFETY: the caller's.
        unsafe {
            let [chain] = chains::<V, T, 1>(a, &[*run], tile, WIDTH as isize);
            for (t, y) in chain.iter().enumerate() {
                y.store(sums.as_mut_ptr().add(t * V::LEN));
            }
            let row = to.out.add(run.row as usize * to.step);
            for (j, &y) in sums[..cols].iter().enumerate() {
                let to_value = row.add(j);
                *to_value = if to.first { y } else { *to_value + y };
            }
        }
    }
}

/// The sums of `G` runs' entries times their rows of the tile, each as one chain. The chains take
/// turns, which hides the latency of the additions; ordered runs are of nearly the same length.
///
/// # Safety
/// The rows lie in the tile.
#[inline(always)]
unsafe fn chains<V: Lanes, const T: usize, const G: usize>(
    a: &Cut,
    runs: &[Run; G],
    tile: *const f32,
    step: isize,
) -> [[V; T]; G] {
    // SAFETY: the caller's.
    unsafe {
        let mut chains = [[V::splat(0.0); T]; G];
        let mut common = runs[0].count;
        for run in &runs[1..] {
            common = common.min(run.count);
        }
        for e in 0..common {
            for (run, chain) in runs.iter().zip(&mut chains) {
                step_of::<V, T>(a, run.begin + e, tile, step, chain);
            }
        }
        for (run, chain) in runs.iter().zip(&mut chains) {
            for e in common..run.count {
                step_of::<V, T>(a, run.begin + e, tile, step, chain);
            }
        }
        chains
    }
}

/// One entry of a chain.
///
/// # Safety
/// As `chains`.
#[inline(always)]
unsafe fn step_of<V: Lanes, const T: usize>(a: &Cut, e: u32, tile: *const f32, step: isize, chain: &mut [V; T]) {
    // SAFETY: the caller's.
    unsafe {
        let x = V::splat(*a.values.get_unchecked(e as usize));
        let b = tile.wrapping_offset(*a.indices.get_unchecked(e as usize) as isize * step);
        for (t, y) in chain.iter_mut().enumerate() {
            *y = x.fma(V::load(b.add(t * V::LEN)), *y);
        }
    }
}
