//! Fast form of `kernel::spmm`: columns of the dense matrix in tiles, chunk by chunk, so that what
//! the entries of many rows pick from stays in the first-level cache.

mod borders;
mod cut;
mod transpose;

use super::gemm::{Block, Shared, View, finish, pack};
use super::lanes::{Four, Lanes, dispatch, with_scratch};
use super::{Function, Threads};
use crate::kernel::gemm::K_CHUNK;
use crate::kernel::spmm::*;
use crate::kernel::{Kernel, params};
use crate::reference::{floats, floats_mut};
use cut::{Cut, Run, Runs, SIDE, UNIT};
use std::ops::Range;

/// The family's entries.
pub static KERNELS: [(&Kernel, Function); 2] = [(&SPMM, spmm), (&TRANSPOSE, transpose::transpose)];

/// Columns of a tile: a chunk of it (32 KiB) fits the first-level cache.
const WIDTH: usize = 32;
/// Columns that take turns in a chunk: the sums of as many rows stay in the second-level cache.
const GROUP: usize = 8 * WIDTH;
/// Values in a cache line.
const LINE: usize = 16;
/// Entries per chunk below which copying the dense matrix does not pay.
const FEW: usize = 384;
/// Entries that are copied at a time (8 MiB), but for those of one row.
const ENTRIES: usize = 1 << 20;
/// Rows of which sums are kept at a time.
const ROWS: usize = 1024;

/// One task: some columns of some rows.
struct Job<'a> {
    a: &'a Cut<'a>,
    b: View<'a>,
    /// Rows of the output, `n` apart.
    out: *mut f32,
    n: usize,
    /// Sums that are not complete, `[tiles, rows, WIDTH]`: neighbours in the output may belong to
    /// different threads, and rows a power of two apart would share few places in the cache.
    sums: *mut f32,
    rows: usize,
    k: usize,
    cols: Range<usize>,
    /// Blocks of rows, see [`Cut`].
    blocks: Range<usize>,
    /// Read rows of the dense matrix from where they are.
    in_place: bool,
    finish: &'a (dyn Fn(Range<usize>, Range<usize>) + Sync),
}

/// A chunk of a tile, and the row of zeros that [`Cut`] asks for.
#[repr(align(64))]
struct Panel([[f32; WIDTH]; K_CHUNK + 1]);

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
    let ordered = indptr.is_sorted() && indptr[m] as usize <= inputs[1].len();
    assert!(ordered, "spmm: rows must begin in order, and within the entries");
    let (start, row, col) = (p.b_offset as isize, p.b_row as isize, p.b_col as isize);
    let b = View { data: floats(inputs[3]), start, row, col };
    assert!(b.fits(k, n), "spmm: the dense matrix lies outside of its buffer");
    let out = Shared::new(floats_mut(&mut outputs[0][..m * n]));
    let mut first = 0;
    while first < m {
        let most = indptr[first].saturating_add(ENTRIES as u32);
        let last = if k > K_CHUNK { m.min(first + ROWS) } else { m };
        let rows = indptr[first + 1..=last].partition_point(|&end| end <= most).max(1);
        let finish = |rows: Range<usize>, cols: Range<usize>| {
            let bias = if bias.is_empty() { bias } else { &bias[cols.clone()] };
            let row = first + rows.start;
            let block = Block { first: row * n + cols.start, step: n, rows: rows.len(), cols: cols.len() };
            // SAFETY: the task that calls this is the only one that touches this block.
            unsafe { finish(&p.epilogue, &out, &block, bias, &[]) };
        };
        let indptr = &indptr[first..=first + rows];
        some_rows(indptr, inputs[1], floats(inputs[2]), b, k, n, &out, first, &finish, threads);
        first += rows;
    }
}

/// The rows of the output from `first` on that have the entries of `indptr`.
fn some_rows(
    indptr: &[u32],
    indices: &[u32],
    values: &[f32],
    b: View,
    k: usize,
    n: usize,
    out: &Shared<f32>,
    first: usize,
    finish: &(dyn Fn(Range<usize>, Range<usize>) + Sync),
    threads: &Threads,
) {
    let m = indptr.len() - 1;
    let entries = (indptr[m] - indptr[0]) as usize;
    let tiles = n.div_ceil(WIDTH);
    // Cut between columns first: then every row of the dense matrix is copied once. Two parts for
    // each thread even out a busy core.
    let col_parts = if threads.count() == 1 { 1 } else { tiles.min(2 * threads.count()) };
    let row_parts = threads.count().div_ceil(col_parts);
    let sums = if k > K_CHUNK { m * tiles * WIDTH } else { 0 };
    let copies = Cut::scratch(m, entries, k, row_parts);
    with_scratch(sums + copies, |at| {
        // SAFETY: the scratch has so many values after those of the sums, and they are ours.
        let copies = unsafe { std::slice::from_raw_parts_mut(at.add(sums), copies) };
        // SAFETY: the sums before them.
        let sums = Shared::new(unsafe { std::slice::from_raw_parts_mut(at, sums) });
        let a = Cut::new(indptr, indices, values, k, row_parts, copies);
        let (tiles_per, blocks_per) = (tiles.div_ceil(col_parts), a.blocks().div_ceil(row_parts));
        let (col_parts, row_parts) = (tiles.div_ceil(tiles_per), a.blocks().div_ceil(blocks_per));
        let in_place = b.col == 1 && entries < FEW * a.chunks();
        let work = (entries * 2 + m * a.chunks() * 4) * tiles;
        threads.stages([a.parts(), a.pieces(), col_parts * row_parts], work, |stage, task| {
            // SAFETY: one task per part and per piece, stage after stage.
            match stage {
                0 => return unsafe { a.find(task) },
                1 => return unsafe { a.copy(task) },
                _ => {}
            }
            let (rows, cols) = (task / col_parts * blocks_per, task % col_parts * tiles_per * WIDTH);
            let job = Job {
                a: &a,
                b,
                out: out.at(first * n),
                n,
                sums: sums.at(0),
                rows: m,
                k,
                cols: cols..n.min(cols + tiles_per * WIDTH),
                blocks: rows..a.blocks().min(rows + blocks_per),
                in_place,
                finish,
            };
            // SAFETY: all blocks are cut and their entries checked, the dense matrix lies in its
            // buffer, the output has these rows, and no other task has these columns of them.
            unsafe { run(&job) };
        });
    });
}

dispatch! {
    /// # Safety
    /// The job's matrices are as large as it says, and no other task has its part of the output.
    unsafe fn run(job: &Job) via
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
unsafe fn run_with<V: Lanes, const T: usize, const H: usize, const G: usize>(job: &Job) {
    let (a, b) = (job.a, &job.b);
    let mut panel = Panel([[0.0; WIDTH]; K_CHUNK + 1]);
    let panel = panel.0.as_mut_ptr().cast::<f32>();
    let fours = (a.rows(job.blocks.end - 1).end - a.rows(job.blocks.start).start) / SIDE;
    for group in job.cols.clone().step_by(GROUP) {
        let cols = GROUP.min(job.cols.end - group);
        // Without a chunk there is nothing to add up, but still something to write.
        for chunk in 0..a.chunks().max(1) {
            let from = chunk * K_CHUNK;
            let depth = K_CHUNK.min(job.k - from);
            for tile in (0..cols).step_by(WIDTH) {
                let col = group + tile;
                let width = WIDTH.min(cols - tile);
                // The tile after this one.
                let (next_from, next_col) = match tile + WIDTH < cols {
                    true => (from, col + WIDTH),
                    false if chunk + 1 < a.chunks() => (from + K_CHUNK, group),
                    false => (0, group + GROUP),
                };
                let next_rows = if b.col == 1 && next_col < job.cols.end { K_CHUNK.min(job.k - next_from) } else { 0 };
                let mut ahead = Ahead {
                    at: b.pointer(next_from, next_col),
                    step: b.row,
                    left: next_rows,
                    each: next_rows.div_ceil(fours.max(1)),
                };
                // In place but for the last, narrow tile.
                let in_place = job.in_place && width == WIDTH;
                // SAFETY: rows from.. and columns col.. exist, the panel has room for them. Runs name
                // rows of this task and entries whose indices lie in the chunk, or its row of zeros.
                unsafe {
                    if !in_place && depth > 0 {
                        pack::panels(b, from, depth, col, width, WIDTH, panel);
                    }
                    for block in job.blocks.clone() {
                        let runs = a.runs(block, chunk);
                        // Row 0 of the tile's columns.
                        let (sums, out) = (job.sums.wrapping_add(col * job.rows), job.out.wrapping_add(col));
                        let (old, old_step) =
                            if chunk == 0 { (NOTHING.0.as_ptr(), 0) } else { (sums.cast_const(), WIDTH) };
                        let (new, new_step) = if chunk + 1 >= a.chunks() { (out, job.n) } else { (sums, WIDTH) };
                        let to = Target { old, old_step, new, new_step };
                        if width < WIDTH {
                            if width > WIDTH / 2 {
                                narrow::<V, T>(runs, panel, width, to);
                            } else {
                                narrow::<V, H>(runs, panel, width, to);
                            }
                        } else if in_place {
                            whole::<V, T, G, false>(runs, b.pointer(from, col), b.row, to, &mut ahead);
                        } else {
                            whole::<V, T, G, true>(runs, panel, WIDTH as isize, to, &mut ahead);
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

/// What a row's first total is added to: any sum with -0 is the other summand.
static NOTHING: Row = Row([-0.0; WIDTH]);

/// A row of a tile.
#[repr(align(64))]
struct Row([f32; WIDTH]);

/// Where the sums that a chunk's totals are added to are, and where the results go: row 0 and the
/// distance of rows.
#[derive(Clone, Copy)]
struct Target {
    old: *const f32,
    old_step: usize,
    new: *mut f32,
    new_step: usize,
}

impl Target {
    /// Where a row's sums are.
    #[inline(always)]
    fn old_row(&self, row: u32) -> *const f32 {
        self.old.wrapping_add(row as usize * self.old_step)
    }

    /// Where they go.
    #[inline(always)]
    fn new_row(&self, row: u32) -> *mut f32 {
        self.new.wrapping_add(row as usize * self.new_step)
    }
}

/// Rows of the dense matrix that will be copied next: brought into the second-level cache meanwhile.
struct Ahead {
    at: *const f32,
    step: isize,
    /// How many, and at a time.
    left: usize,
    each: usize,
}

impl Ahead {
    #[inline(always)]
    fn go_on<V: Lanes>(&mut self) {
        for _ in 0..self.each.min(self.left) {
            V::prefetch(self.at);
            V::prefetch(self.at.wrapping_add(LINE));
            self.at = self.at.wrapping_offset(self.step);
        }
        self.left = self.left.saturating_sub(self.each);
    }
}

/// Adds the runs' sums to whole tiles. `tile` points to the chunk's first row; if `ZEROS`, its rows are
/// `WIDTH` apart and one of zeros follows the last.
///
/// # Safety
/// The runs' rows lie in the tile and in the output.
#[inline(always)]
unsafe fn whole<V: Lanes, const T: usize, const G: usize, const ZEROS: bool>(
    runs: Runs,
    tile: *const f32,
    step: isize,
    to: Target,
    ahead: &mut Ahead,
) {
    let (fours, rest) = runs.runs.as_chunks::<SIDE>();
    // SAFETY: the caller's.
    unsafe {
        for four in fours {
            ahead.go_on::<V>();
            if ZEROS && Runs::take_turns(four) {
                for (g, group) in four.as_chunks::<G>().0.iter().enumerate() {
                    let chains = chains_in_turns::<V, T, G>(runs, four, g * G, tile);
                    for (run, chain) in group.iter().zip(&chains) {
                        add::<V, T>(chain, run, to);
                    }
                }
            } else {
                let distance = if Runs::take_turns(four) { SIDE } else { 1 };
                for run in four {
                    add::<V, T>(&chain::<V, T>(runs, run, distance, tile, step), run, to);
                }
            }
        }
        for run in rest {
            add::<V, T>(&chain::<V, T>(runs, run, 1, tile, step), run, to);
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
        let (old, new) = (to.old_row(run.row), to.new_row(run.row));
        for (t, &y) in chain.iter().enumerate() {
            V::load(old.add(t * V::LEN)).add(y).store(new.add(t * V::LEN));
        }
    }
}

/// As [`whole`] for a tile of which only `cols` columns exist.
///
/// # Safety
/// As `whole`; all of the tile is in the scratch.
#[inline(always)]
unsafe fn narrow<V: Lanes, const T: usize>(runs: Runs, tile: *const f32, cols: usize, to: Target) {
    let (fours, _) = runs.runs.as_chunks::<SIDE>();
    for (i, run) in runs.runs.iter().enumerate() {
        let distance = if fours.get(i / SIDE).is_some_and(Runs::take_turns) { SIDE } else { 1 };
        let mut sums = [0.0f32; WIDTH];
        // SAFETY: the caller's.
        unsafe {
            let chain = chain::<V, T>(runs, run, distance, tile, WIDTH as isize);
            for (t, y) in chain.iter().enumerate() {
                y.store(sums.as_mut_ptr().add(t * V::LEN));
            }
            let (old, new) = (to.old_row(run.row), to.new_row(run.row));
            for (j, &y) in sums[..cols].iter().enumerate() {
                *new.add(j) = *old.add(j) + y;
            }
        }
    }
}

/// The sum of a run's entries, `distance` apart, times their rows of the tile, as one chain.
///
/// # Safety
/// The rows lie in the tile.
#[inline(always)]
unsafe fn chain<V: Lanes, const T: usize>(
    runs: Runs,
    run: &Run,
    distance: usize,
    tile: *const f32,
    step: isize,
) -> [V; T] {
    // SAFETY: the caller's.
    unsafe {
        let mut chain = [V::splat(0.0); T];
        let (indices, values) = (runs.indices.add(run.begin as usize), runs.values.add(run.begin as usize));
        for e in 0..run.count as usize {
            let row = tile.wrapping_offset((*indices.add(e * distance) / UNIT) as isize * step);
            step_of::<V, T>(*values.add(e * distance), row, &mut chain);
        }
        chain
    }
}

/// [`chain`] of `G` of [`SIDE`] runs in turns, from run `first` on. The chains take turns, too, which
/// hides the latency of the additions, and all end at once.
///
/// # Safety
/// As `chain`; the runs' entries lie in turns, and the tile has its row of zeros.
#[inline(always)]
unsafe fn chains_in_turns<V: Lanes, const T: usize, const G: usize>(
    runs: Runs,
    four: &[Run; SIDE],
    first: usize,
    tile: *const f32,
) -> [[V; T]; G] {
    // SAFETY: the caller's.
    unsafe {
        let mut chains = [[V::splat(0.0); T]; G];
        let begin = four[0].begin as usize;
        let (mut indices, mut values) = (runs.indices.add(begin).cast::<u64>(), runs.values.add(begin + first));
        for _ in 0..four[SIDE - 1].count {
            let rows = u64::from_le(indices.read_unaligned()) >> (16 * first);
            for (g, chain) in chains.iter_mut().enumerate() {
                let row = tile.wrapping_byte_add(8 * (rows >> (16 * g) & 0xffff) as usize);
                step_of::<V, T>(*values.add(g), row, chain);
            }
            (indices, values) = (indices.add(1), values.add(SIDE));
        }
        chains
    }
}

/// One entry of a chain: a value times a row of the tile.
///
/// # Safety
/// As `chain`.
#[inline(always)]
unsafe fn step_of<V: Lanes, const T: usize>(value: f32, row: *const f32, chain: &mut [V; T]) {
    // SAFETY: the caller's.
    unsafe {
        let x = V::splat(value);
        for (t, y) in chain.iter_mut().enumerate() {
            *y = x.fma(V::load(row.add(t * V::LEN)), *y);
        }
    }
}

// A copied index leads to its row without a multiplication.
const _: () = assert!(UNIT as usize * 8 == WIDTH * size_of::<f32>());
