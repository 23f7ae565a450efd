//! Fast form of `kernel::spmm`: columns of the dense matrix in tiles, chunk by chunk, so that what
//! the entries of many rows pick from stays in the first-level cache.

use super::gemm::{Block, Shared, finish};
use super::lanes::{Lanes, dispatch, with_scratch};
use super::{Function, Threads};
use crate::kernel::gemm::K_CHUNK;
use crate::kernel::spmm::*;
use crate::kernel::{Kernel, params};
use crate::reference::{floats, floats_mut};

pub static KERNELS: [(&Kernel, Function); 2] = [(&SPMM, spmm), (&TRANSPOSE, transpose)];

/// Columns of a tile: a chunk of it (32 KiB) fits the first-level cache.
const WIDTH: usize = 32;
/// Rows whose sums are kept beside the tile.
const ROW_BLOCK: usize = 512;

/// A sparse matrix cut at the chunk borders.
struct Cut<'a> {
    indices: &'a [u32],
    values: &'a [f32],
    /// `[m, chunks + 1]`: row i has the entries `starts[i, c]..starts[i, c + 1]` in chunk c.
    starts: Vec<u32>,
    chunks: usize,
}

impl<'a> Cut<'a> {
    /// # Panics
    /// If the indices do not ascend, or if one is not below `k`.
    fn new(indptr: &[u32], indices: &'a [u32], values: &'a [f32], k: usize, threads: &Threads) -> Self {
        let chunks = k.div_ceil(K_CHUNK);
        let rows = indptr.len() - 1;
        let mut starts = vec![0; rows * (chunks + 1)];
        let per_row = values.len() / rows.max(1) + chunks;
        threads.rows(&mut starts, chunks + 1, per_row, 1, |first, piece| {
            for (starts, ends) in piece.chunks_mut(chunks + 1).zip(indptr[first..].windows(2)) {
                let (begin, end) = (ends[0] as usize, ends[1] as usize);
                let (mut last, mut fine) = (0, true);
                starts.fill(begin as u32);
                for (e, &index) in indices[begin..end].iter().enumerate() {
                    fine &= index >= last && (index as usize) < k;
                    last = index;
                    // Later entries of the chunk overwrite this.
                    starts[(index as usize / K_CHUNK).min(chunks - 1) + 1] = (begin + e + 1) as u32;
                }
                assert!(fine, "spmm: column indices of a row must ascend and be below {k}");
                for c in 0..chunks {
                    starts[c + 1] = starts[c + 1].max(starts[c]);
                }
            }
        });
        Cut { indices, values: &values[..indices.len()], starts, chunks }
    }
}

/// The dense matrix.
#[derive(Clone, Copy)]
struct Dense<'a> {
    data: &'a [f32],
    start: isize,
    row: isize,
    col: isize,
    k: usize,
}

/// One task: some tiles of columns.
struct Job<'a> {
    a: &'a Cut<'a>,
    b: Dense<'a>,
    out: &'a Shared,
    m: usize,
    n: usize,
    first_col: usize,
    last_col: usize,
    finish: &'a (dyn Fn(std::ops::Range<usize>, std::ops::Range<usize>) + Sync),
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
    let b =
        Dense { data: floats(inputs[3]), start: p.b_offset as isize, row: p.b_row as isize, col: p.b_col as isize, k };
    if k > 0 {
        let corner = |i: usize, j: usize| b.start + i as isize * b.row + j as isize * b.col;
        let corners = [corner(0, 0), corner(k - 1, 0), corner(0, n - 1), corner(k - 1, n - 1)];
        let inside = corners.iter().all(|&c| c >= 0 && (c as usize) < b.data.len());
        assert!(inside, "spmm: the dense matrix lies outside of its buffer");
    }
    let a = Cut::new(indptr, inputs[1], floats(inputs[2]), k, threads);
    let out = Shared::new(floats_mut(&mut outputs[0][..m * n]));
    let finish = |rows: std::ops::Range<usize>, cols: std::ops::Range<usize>| {
        let bias = if bias.is_empty() { bias } else { &bias[cols.clone()] };
        let block = Block { first: rows.start * n + cols.start, step: n, rows: rows.len(), cols: cols.len() };
        // SAFETY: the task that calls this is the only one that touches these columns.
        unsafe { finish(&p.epilogue, &out, &block, bias, &[]) };
    };
    let tiles = n.div_ceil(WIDTH);
    let per_task = tiles.div_ceil(threads.count() * 4);
    let entries = (indptr[m] - indptr[0]) as usize;
    let work = per_task * (entries * 2 + m * a.chunks * 4);
    threads.each(tiles.div_ceil(per_task), work, |task| {
        let first_col = task * per_task * WIDTH;
        let last_col = n.min(first_col + per_task * WIDTH);
        let job = Job { a: &a, b, out: &out, m, n, first_col, last_col, finish: &finish };
        // SAFETY: `Cut::new` has checked the entries, the corners of the dense matrix lie in its
        // buffer, the output has m * n elements, and no other task has these columns.
        unsafe { columns(&job) };
    });
}

dispatch! {
    /// # Safety
    /// The job's matrices are as large as it says, and no other task has its columns.
    unsafe fn columns(job: &Job) via
        columns_of::<std::arch::x86_64::__m512, 2, 1>,
        columns_of::<std::arch::x86_64::__m256, 4, 2>,
        columns_of::<super::lanes::Four, 8, 4>
}

/// `T` registers make a tile, `H` half of one.
///
/// # Safety
/// As `columns`; the processor has the instructions of `V`.
#[inline(always)]
unsafe fn columns_of<V: Lanes, const T: usize, const H: usize>(job: &Job) {
    let rows = job.m.min(ROW_BLOCK);
    with_scratch((K_CHUNK + rows) * WIDTH, |packed| {
        let sums = packed.wrapping_add(K_CHUNK * WIDTH);
        let mut col = job.first_col;
        while col < job.last_col {
            // SAFETY: the scratch holds a chunk of a tile and the sums of a row block.
            unsafe {
                if job.last_col - col > WIDTH / 2 {
                    tile::<V, T>(job, col, packed, sums);
                    col += WIDTH;
                } else {
                    tile::<V, H>(job, col, packed, sums);
                    col += WIDTH / 2;
                }
            }
        }
    });
}

/// All rows of the columns from `col`, at most `T` registers of them.
///
/// # Safety
/// As `columns_of`; `packed` has room for a chunk of the tile, `sums` for a block of its rows.
#[inline(always)]
unsafe fn tile<V: Lanes, const T: usize>(job: &Job, col: usize, packed: *mut f32, sums: *mut f32) {
    let (a, b, n) = (job.a, &job.b, job.n);
    let width = T * V::LEN;
    let cols = width.min(job.last_col - col);
    let whole = cols == width;
    let mut packed_chunk = usize::MAX;
    for first in (0..job.m).step_by(ROW_BLOCK) {
        let rows = first..job.m.min(first + ROW_BLOCK);
        for chunk in 0..a.chunks.max(1) {
            let k0 = chunk * K_CHUNK;
            if packed_chunk != chunk {
                // SAFETY: rows k0.. and columns col.. exist.
                unsafe { pack(b, k0, K_CHUNK.min(b.k - k0), col, cols, packed, width) };
                packed_chunk = chunk;
            }
            // Sums stay in scratch until their last chunk; whole tiles then go to the output.
            let home = whole && chunk + 1 >= a.chunks;
            for i in rows.clone() {
                // SAFETY: a row of the cut has chunks + 1 starts; its entries were checked to lie
                // in the chunk; `to` and `from` have `width` elements.
                unsafe {
                    let (begin, end) = match a.chunks {
                        0 => (0, 0),
                        _ => {
                            let at = i * (a.chunks + 1) + chunk;
                            (*a.starts.get_unchecked(at) as usize, *a.starts.get_unchecked(at + 1) as usize)
                        }
                    };
                    let sum = sums.add((i - first) * width);
                    let to = if home { job.out.at(i * n + col) } else { sum };
                    let from = if chunk == 0 { std::ptr::null() } else { sum.cast_const() };
                    let (indices, values) = (a.indices.as_ptr().add(begin), a.values.as_ptr().add(begin));
                    let base = packed.cast_const().wrapping_sub(k0 * width);
                    row::<V, T>(indices, values, end - begin, base, width, from, to);
                }
            }
            if !whole && chunk + 1 >= a.chunks {
                for i in rows.clone() {
                    // SAFETY: `cols` columns of the output belong to this task.
                    unsafe {
                        std::ptr::copy_nonoverlapping(sums.add((i - first) * width), job.out.at(i * n + col), cols)
                    };
                }
            }
        }
        (job.finish)(rows, col..col + cols);
    }
}

/// `to = from + sum of the entries' rows of the tile` (without `from` if it is null), the sum as one
/// chain. `tile` points to where column index 0 would lie.
///
/// # Safety
/// `count` entries, all of whose rows lie in the tile; `T` registers at `from` and `to`.
#[inline(always)]
unsafe fn row<V: Lanes, const T: usize>(
    indices: *const u32,
    values: *const f32,
    count: usize,
    tile: *const f32,
    width: usize,
    from: *const f32,
    to: *mut f32,
) {
    // SAFETY: the caller's.
    unsafe {
        let mut chain = [V::splat(0.0); T];
        for e in 0..count {
            let x = V::splat(*values.add(e));
            let b = tile.wrapping_add(*indices.add(e) as usize * width);
            for (t, c) in chain.iter_mut().enumerate() {
                *c = x.fma(V::load(b.add(t * V::LEN)), *c);
            }
        }
        for (t, c) in chain.iter().enumerate() {
            let sum = if from.is_null() { *c } else { V::load(from.add(t * V::LEN)).add(*c) };
            sum.store(to.add(t * V::LEN));
        }
    }
}

/// Copies `rows` x `cols` of the dense matrix to rows of `width`.
///
/// # Safety
/// They exist, and `to` has room.
#[inline(always)]
unsafe fn pack(b: &Dense, row: usize, rows: usize, col: usize, cols: usize, to: *mut f32, width: usize) {
    let at = |i: usize, j: usize| {
        b.data.as_ptr().wrapping_offset(b.start + (row + i) as isize * b.row + (col + j) as isize * b.col)
    };
    for i in 0..rows {
        // SAFETY: the caller's.
        unsafe {
            if b.col == 1 {
                std::ptr::copy_nonoverlapping(at(i, 0), to.add(i * width), cols);
            } else {
                for j in 0..cols {
                    *to.add(i * width + j) = *at(i, j);
                }
            }
        }
    }
}

fn transpose(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]], _: &Threads) {
    let p: TransposeParams = params(bytes);
    let (rows, cols) = (p.rows as usize, p.cols as usize);
    let (indptr, indices, values) = (&inputs[0][p.indptr_offset as usize..][..rows + 1], inputs[1], inputs[2]);
    let [indptr_t, indices_t, values_t] = outputs else { panic!("three outputs") };
    let entries = indptr[0] as usize..indptr[rows] as usize;
    let (indices_t, values_t) = (&mut indices_t[..entries.len()], &mut values_t[..entries.len()]);
    // Where the next entry of each column goes; afterwards where the column ends.
    let mut next = vec![0u32; cols + 1];
    for &column in &indices[entries] {
        next[column as usize + 1] += 1;
    }
    for column in 0..cols {
        next[column + 1] += next[column];
    }
    indptr_t[..=cols].copy_from_slice(&next);
    for i in 0..rows {
        let entries = indptr[i] as usize..indptr[i + 1] as usize;
        for (&column, &value) in indices[entries.clone()].iter().zip(&values[entries]) {
            let slot = &mut next[column as usize];
            indices_t[*slot as usize] = i as u32;
            values_t[*slot as usize] = value;
            *slot += 1;
        }
    }
}
