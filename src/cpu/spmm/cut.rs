//! A sparse matrix cut at the chunk borders of its columns.

use super::borders::find_starts;
use crate::cpu::gemm::Shared;
use crate::kernel::gemm::K_CHUNK;
use crate::simd_fn;
use bytemuck::{Pod, Zeroable};
use std::ops::Range;

/// Rows that are ordered together, at most.
const BLOCK: usize = 512;
/// Rows in which the chunks' borders are found together.
const PART: usize = 128;
/// Runs are ordered by length up to this one, more than a chunk has columns.
const LENGTHS: usize = K_CHUNK + 2;

/// Runs of which the entries lie in turns, those of the shorter ones filled up.
pub const SIDE: usize = 4;
/// What a column counts in a copied index: the distance of a tile's rows, in units of eight bytes.
pub const UNIT: u16 = 16;
/// What fills up: its sum with any chain is that chain, as `-0 * 0 = -0` and `s + -0 = s` for every
/// s. The row after a chunk's last one, which holds zeros, goes with it.
const FILL: (u16, f32) = (K_CHUNK as u16 * UNIT, -0.0);

/// Entries that may be added to those of a piece. Runs being ordered, what its fours lack adds up to four
/// times the longest; a copy may go on past the last one.
const FILLING: usize = SIDE * K_CHUNK + COPIED;

/// The entries of a row in one chunk.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
pub struct Run {
    pub row: u32,
    /// Its first entry, counted from the first one of the block.
    pub begin: u32,
    pub count: u32,
}

/// The matrix as runs, chunk by chunk, each with a copy of its entries behind those of the run
/// before it. Within a block of rows and a chunk runs are ordered by length: then the processor
/// foresees where the loop over entries ends. The order of rows does not matter to their sums.
///
/// Entries of [`SIDE`] runs lie in turns, so that one load fetches an index for each.
///
/// It is made in two steps, each of tasks that may go side by side: [`Cut::find`] for all parts of the
/// rows, then [`Cut::copy`] for all chunks of all blocks.
pub struct Cut<'a> {
    indptr: &'a [u32],
    indices: &'a [u32],
    values: &'a [f32],
    rows: usize,
    k: usize,
    block: usize,
    chunks: usize,
    /// `[rows, chunks + 1]`, see [`find_starts`].
    starts: Shared<u32>,
    runs: Shared<Run>,
    copied_indices: Shared<u16>,
    copied_values: Shared<f32>,
}

/// The runs of a block's rows in a chunk, and the block's entries, indices counted from the chunk's
/// first column in units of [`UNIT`].
#[derive(Clone, Copy)]
pub struct Runs<'a> {
    pub runs: &'a [Run],
    pub indices: *const u16,
    pub values: *const f32,
}

impl Runs<'_> {
    /// Whether the entries of [`SIDE`] runs lie in turns, as many of each as the last one has; if not,
    /// those of a run lie side by side.
    #[inline(always)]
    pub fn take_turns(four: &[Run; SIDE]) -> bool {
        // More than that are in no order.
        four[SIDE - 1].count <= K_CHUNK as u32
    }
}

impl<'a> Cut<'a> {
    /// A matrix of which nothing is cut yet, to be dealt to `row_parts` by its rows. The words at
    /// `scratch`, as many as [`Cut::scratch`] says, belong to it.
    pub fn new(
        indptr: &'a [u32],
        indices: &'a [u32],
        values: &'a [f32],
        k: usize,
        row_parts: usize,
        scratch: &'a mut [f32],
    ) -> Self {
        let (rows, chunks) = (indptr.len() - 1, k.div_ceil(K_CHUNK));
        let block = Self::block(rows, row_parts);
        let (starts, scratch) = scratch.split_at_mut(rows * (chunks + 1));
        let (runs, entries) = scratch.split_at_mut(3 * rows * chunks.max(1));
        let (copied_values, copied_indices) = entries.split_at_mut(entries.len() / 3 * 2);
        Cut {
            indptr,
            indices,
            values: &values[..indices.len()],
            rows,
            k,
            block,
            chunks,
            starts: Shared::new(bytemuck::cast_slice_mut(starts)),
            runs: Shared::new(bytemuck::cast_slice_mut(runs)),
            copied_indices: Shared::new(bytemuck::cast_slice_mut(copied_indices)),
            copied_values: Shared::new(copied_values),
        }
    }

    /// Words of scratch for so many rows with so many entries.
    pub fn scratch(rows: usize, entries: usize, k: usize, row_parts: usize) -> usize {
        let (blocks, chunks) = (rows.div_ceil(Self::block(rows, row_parts)), k.div_ceil(K_CHUNK));
        let pieces = chunks.max(1);
        rows * (chunks + 1) + 3 * rows * pieces + 3 * (entries + blocks * pieces * FILLING).div_ceil(2)
    }

    fn block(rows: usize, row_parts: usize) -> usize {
        rows.div_ceil(row_parts).clamp(1, BLOCK)
    }

    /// First copied entry of a block.
    fn first(&self, block: usize) -> usize {
        (self.indptr[block * self.block] - self.indptr[0]) as usize + block * self.chunks.max(1) * FILLING
    }

    /// Number of parts of the rows for [`Cut::find`].
    pub fn parts(&self) -> usize {
        self.rows.div_ceil(PART)
    }

    /// Finds where the chunks begin in some rows.
    ///
    /// # Panics
    /// If the indices of a row do not ascend, or one is not below `k`.
    ///
    /// # Safety
    /// No other thread uses this part meanwhile.
    pub unsafe fn find(&self, part: usize) {
        let rows = part * PART..self.rows.min((part + 1) * PART);
        let width = self.chunks + 1;
        // SAFETY: these starts are the part's.
        let starts = unsafe { self.starts.slice(rows.start * width, rows.len() * width) };
        find_starts(&self.indptr[rows.start..=rows.end], self.indices, self.k, starts);
    }

    /// Number of pieces for [`Cut::copy`]: the chunks of a block, then those of the next one.
    pub fn pieces(&self) -> usize {
        self.blocks() * self.chunks.max(1)
    }

    /// Orders the runs of a piece and copies their entries.
    ///
    /// # Safety
    /// All parts have been found, and no other thread uses this piece meanwhile.
    pub unsafe fn copy(&self, piece: usize) {
        let (block, chunk) = (piece / self.chunks.max(1), piece % self.chunks.max(1));
        let rows = self.rows(block);
        let width = self.chunks + 1;
        // SAFETY: nobody writes starts any more.
        let starts = unsafe { std::slice::from_raw_parts(self.starts.at(rows.start * width), rows.len() * width) };
        // Entries of the block in the chunks before, and up to the end of this one.
        let before = |chunk: usize| -> usize {
            let rows = starts.chunks_exact(width).zip(&self.indptr[rows.clone()]);
            rows.map(|(starts, first)| (starts[chunk] - first) as usize).sum()
        };
        let entries = if self.chunks == 0 { 0..0 } else { before(chunk)..before(chunk + 1) };
        let begin = entries.start + chunk * FILLING;
        let room = entries.len() + FILLING;
        assert!(u32::try_from(begin + room).is_ok(), "spmm: too many entries in {} rows", rows.len());
        let first = self.first(block) + begin;
        // SAFETY: these runs and entries are the piece's; nobody else uses them as the caller says.
        let (runs, indices, values) = unsafe {
            (
                self.runs.slice(rows.start * self.chunks.max(1) + chunk * rows.len(), rows.len()),
                self.copied_indices.slice(first, room),
                self.copied_values.slice(first, room),
            )
        };
        order(starts, self.chunks, chunk, rows.start, runs);
        copy(self.indices, self.values, (chunk * K_CHUNK) as u32, runs, indices, values);
        for run in runs {
            run.begin += begin as u32;
        }
    }

    /// Number of chunks of columns.
    pub fn chunks(&self) -> usize {
        self.chunks
    }

    /// Number of blocks of rows.
    pub fn blocks(&self) -> usize {
        self.rows.div_ceil(self.block)
    }

    /// The rows of a block.
    pub fn rows(&self, block: usize) -> Range<usize> {
        block * self.block..self.rows.min((block + 1) * self.block)
    }

    /// The runs of a block's rows in a chunk; without any chunk, empty ones.
    ///
    /// # Safety
    /// All pieces have been copied.
    pub unsafe fn runs(&self, block: usize, chunk: usize) -> Runs<'_> {
        let rows = self.rows(block);
        let first = self.first(block);
        // SAFETY: these runs are the block's.
        let runs = unsafe { self.runs.slice(rows.start * self.chunks.max(1) + chunk * rows.len(), rows.len()) };
        Runs { runs, indices: self.copied_indices.at(first), values: self.copied_values.at(first) }
    }
}

/// The runs of one chunk, ordered by length.
fn order(starts: &[u32], chunks: usize, chunk: usize, first: usize, runs: &mut [Run]) {
    if chunks == 0 {
        for (i, run) in runs.iter_mut().enumerate() {
            *run = Run { row: (first + i) as u32, begin: 0, count: 0 };
        }
        return;
    }
    let rows = || starts.chunks_exact(chunks + 1).map(|starts| (starts[chunk], starts[chunk + 1] - starts[chunk]));
    let mut lengths = [0u16; BLOCK];
    let mut next = [0u32; LENGTHS + 1];
    let mut longest = 0;
    for (length, (_, count)) in lengths.iter_mut().zip(rows()) {
        *length = count.min(LENGTHS as u32 - 1) as u16;
        longest = longest.max(*length as usize);
        next[*length as usize + 1] += 1;
    }
    for length in 0..longest {
        next[length + 1] += next[length];
    }
    for (i, (length, (begin, count))) in lengths.iter().zip(rows()).enumerate() {
        let slot = &mut next[*length as usize];
        runs[*slot as usize] = Run { row: (first + i) as u32, begin, count };
        *slot += 1;
    }
}

/// Entries of [`SIDE`] runs that are copied at a time.
const COPIED: usize = SIDE * SIDE;

simd_fn! {
    /// Copies the entries of ordered runs of a chunk, which begins at column `from`, and makes the runs
    /// say where.
    fn copy(
        indices: &[u32],
        values: &[f32],
        from: u32,
        runs: &mut [Run],
        to_indices: &mut [u16],
        to_values: &mut [f32],
    ) {
        let mut next = 0;
        let (fours, rest) = runs.as_chunks_mut::<SIDE>();
        for four in fours {
            if Runs::take_turns(four) {
                let length = four[SIDE - 1].count as usize;
                copy_in_turns(indices, values, from, four, &mut to_indices[next..], &mut to_values[next..]);
                for (r, run) in four.iter_mut().enumerate() {
                    run.begin = (next + r) as u32;
                }
                next += SIDE * length;
            } else {
                next = copy_in_line(indices, values, from, four, next, to_indices, to_values);
            }
        }
        copy_in_line(indices, values, from, rest, next, to_indices, to_values);
    }
}

/// The entries of each run side by side, from `next` on. Returns where they end.
#[inline(always)]
fn copy_in_line(
    indices: &[u32],
    values: &[f32],
    from: u32,
    runs: &mut [Run],
    next: usize,
    to_indices: &mut [u16],
    to_values: &mut [f32],
) -> usize {
    let mut next = next;
    for run in runs {
        let (begin, count) = (run.begin as usize, run.count as usize);
        for (to, index) in to_indices[next..][..count].iter_mut().zip(&indices[begin..][..count]) {
            *to = (index - from) as u16 * UNIT;
        }
        to_values[next..][..count].copy_from_slice(&values[begin..][..count]);
        run.begin = next as u32;
        next += count;
    }
    next
}

/// The entries of [`SIDE`] runs in turns. There is room for [`COPIED`] more than these.
#[inline(always)]
fn copy_in_turns(
    indices: &[u32],
    values: &[f32],
    from: u32,
    four: &[Run; SIDE],
    to_indices: &mut [u16],
    to_values: &mut [f32],
) {
    let begins = four.map(|run| run.begin as usize);
    let length = four[SIDE - 1].count as usize;
    let (to_indices, to_values) = (to_indices.as_chunks_mut::<COPIED>().0, to_values.as_chunks_mut::<COPIED>().0);
    let blocks = length.div_ceil(SIDE);
    // What is past a run is filled up afterwards.
    let reach = begins.map(|begin| begin + blocks * SIDE).into_iter().fold(0, usize::max);
    if reach <= indices.len().min(values.len()) {
        for (block, (to_indices, to_values)) in
            to_indices[..blocks].iter_mut().zip(&mut to_values[..blocks]).enumerate()
        {
            let at = block * SIDE;
            let (mut rows, mut row_values) = ([&[0; SIDE]; SIDE], [&[0.0; SIDE]; SIDE]);
            for r in 0..SIDE {
                // SAFETY: entries up to `reach` exist.
                unsafe {
                    rows[r] = &*indices.as_ptr().add(begins[r] + at).cast();
                    row_values[r] = &*values.as_ptr().add(begins[r] + at).cast();
                }
            }
            turn(rows, row_values, from, to_indices, to_values);
        }
    } else {
        for e in 0..length {
            for r in (0..SIDE).filter(|&r| e < four[r].count as usize) {
                to_indices.as_flattened_mut()[e * SIDE + r] = (indices[begins[r] + e] - from) as u16 * UNIT;
                to_values.as_flattened_mut()[e * SIDE + r] = values[begins[r] + e];
            }
        }
    }
    let (to_indices, to_values) = (to_indices.as_flattened_mut(), to_values.as_flattened_mut());
    for (r, run) in four[..SIDE - 1].iter().enumerate() {
        for e in run.count as usize..length {
            (to_indices[e * SIDE + r], to_values[e * SIDE + r]) = FILL;
        }
    }
}

/// Four entries of each of four runs, which begin at column `from`, in turns.
#[inline(always)]
#[cfg(target_arch = "x86_64")]
fn turn(
    indices: [&[u32; SIDE]; SIDE],
    values: [&[f32; SIDE]; SIDE],
    from: u32,
    to_indices: &mut [u16; COPIED],
    to_values: &mut [f32; COPIED],
) {
    use std::arch::x86_64::*;
    // SAFETY: every x86-64 processor has SSE2; the arrays are as long as what is read and written.
    unsafe {
        let offsets =
            indices.map(|row| _mm_sub_epi32(_mm_loadu_si128(row.as_ptr().cast()), _mm_set1_epi32(from as i32)));
        let [a, b] = [0, 2].map(|r| _mm_packs_epi32(offsets[r], offsets[r + 1]));
        let (even, odd) = (_mm_unpacklo_epi16(a, b), _mm_unpackhi_epi16(a, b));
        let (low, high) = (_mm_unpacklo_epi16(even, odd), _mm_unpackhi_epi16(even, odd));
        let unit = _mm_set1_epi16(UNIT as i16);
        _mm_storeu_si128(to_indices.as_mut_ptr().cast(), _mm_mullo_epi16(low, unit));
        _mm_storeu_si128(to_indices.as_mut_ptr().cast::<__m128i>().add(1), _mm_mullo_epi16(high, unit));
        let [mut a, mut b, mut c, mut d] = values.map(|row| _mm_loadu_ps(row.as_ptr()));
        _MM_TRANSPOSE4_PS(&mut a, &mut b, &mut c, &mut d);
        for (e, turn) in [a, b, c, d].into_iter().enumerate() {
            _mm_storeu_ps(to_values.as_mut_ptr().add(e * SIDE), turn);
        }
    }
}

#[inline(always)]
#[cfg(not(target_arch = "x86_64"))]
fn turn(
    indices: [&[u32; SIDE]; SIDE],
    values: [&[f32; SIDE]; SIDE],
    from: u32,
    to_indices: &mut [u16; COPIED],
    to_values: &mut [f32; COPIED],
) {
    for e in 0..SIDE {
        for r in 0..SIDE {
            to_indices[e * SIDE + r] = (indices[r][e].wrapping_sub(from) as u16).wrapping_mul(UNIT);
            to_values[e * SIDE + r] = values[r][e];
        }
    }
}
