//! A sparse matrix cut at the chunk borders of its columns.

use crate::cpu::gemm::Shared;
use crate::kernel::gemm::K_CHUNK;
use crate::simd_fn;
use bytemuck::{Pod, Zeroable};
use std::ops::Range;

/// Rows that are cut and ordered together, at most.
const BLOCK: usize = 512;
/// Runs are ordered by length up to this one, more than a chunk has columns.
const LENGTHS: usize = K_CHUNK + 2;

/// Runs whose entries lie side by side, those of the shorter ones filled up.
pub const SIDE: usize = 4;
/// What fills up: its sum with any chain is that chain, as `-0 * 0 = -0` and `s + -0 = s` for every
/// s. The row after a chunk's last one, which holds zeros, goes with it.
const FILL: (u32, f32) = (K_CHUNK as u32, -0.0);
/// Entries copied at a time.
const COPIED: usize = 16;

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
pub struct Cut<'a> {
    indptr: &'a [u32],
    indices: &'a [u32],
    values: &'a [f32],
    k: usize,
    block: usize,
    chunks: usize,
    runs: Shared<Run>,
    copied_indices: Shared<u32>,
    copied_values: Shared<f32>,
}

/// The runs of a block's rows in a chunk, and the block's entries, indices counted from the chunk's
/// first column.
#[derive(Clone, Copy)]
pub struct Runs<'a> {
    pub runs: &'a [Run],
    pub indices: *const u32,
    pub values: *const f32,
}

impl Runs<'_> {
    /// Whether there are equally many entries for each of [`SIDE`] runs.
    #[inline(always)]
    pub fn are_filled(four: &[Run; SIDE]) -> bool {
        // More than that are in no order.
        four[SIDE - 1].count <= K_CHUNK as u32
    }

    /// How many are there for each, then: an even number.
    #[inline(always)]
    pub fn filled(four: &[Run]) -> u32 {
        four.last().map_or(0, |run| run.count.next_multiple_of(2))
    }
}

impl<'a> Cut<'a> {
    /// A matrix of which no block is cut yet. The words at `scratch`, as many as [`Cut::scratch`]
    /// says, belong to it.
    pub fn new(
        indptr: &'a [u32],
        indices: &'a [u32],
        values: &'a [f32],
        k: usize,
        threads: usize,
        scratch: &'a mut [f32],
    ) -> Self {
        let (rows, chunks) = (indptr.len() - 1, k.div_ceil(K_CHUNK));
        let block = Self::block(rows, threads);
        let (runs, entries) = scratch.split_at_mut(3 * rows * chunks.max(1));
        let half = entries.len() / 2;
        let (copied_indices, copied_values) = entries.split_at_mut(half);
        Cut {
            indptr,
            indices,
            values: &values[..indices.len()],
            k,
            block,
            chunks,
            runs: Shared::new(bytemuck::cast_slice_mut(runs)),
            copied_indices: Shared::new(bytemuck::cast_slice_mut(copied_indices)),
            copied_values: Shared::new(copied_values),
        }
    }

    /// Words of scratch for so many rows with so many entries.
    pub fn scratch(rows: usize, entries: usize, k: usize, threads: usize) -> usize {
        let (blocks, chunks) = (rows.div_ceil(Self::block(rows, threads)), k.div_ceil(K_CHUNK).max(1));
        3 * rows * chunks + 2 * (entries + blocks * Self::filling(chunks))
    }

    /// Entries of a block that may be added to its own.
    fn filling(chunks: usize) -> usize {
        // Runs being ordered, what the fours of a chunk lack adds up to four times the longest, and
        // one more each makes an even number; a copy may go on past the last one.
        chunks * (SIDE * K_CHUNK + BLOCK) + COPIED
    }

    fn block(rows: usize, threads: usize) -> usize {
        rows.div_ceil(threads).clamp(1, BLOCK)
    }

    /// First copied entry of a block.
    fn first(&self, block: usize) -> usize {
        (self.indptr[block * self.block] - self.indptr[0]) as usize + block * Self::filling(self.chunks.max(1))
    }

    /// Cuts a block of rows.
    ///
    /// # Panics
    /// If the indices of a row do not ascend, or one is not below `k`.
    ///
    /// # Safety
    /// No other thread cuts or reads this block meanwhile.
    pub unsafe fn cut(&self, block: usize) {
        let rows = self.rows(block);
        let chunks = self.chunks.max(1);
        let room = (self.indptr[rows.end] - self.indptr[rows.start]) as usize + Self::filling(chunks);
        assert!(u32::try_from(room).is_ok(), "spmm: too many entries in {} rows", rows.len());
        let first = self.first(block);
        // SAFETY: these runs and entries are the block's; nobody else uses them as the caller says.
        let (runs, indices, values) = unsafe {
            (
                self.runs.slice(rows.start * chunks, rows.len() * chunks),
                self.copied_indices.slice(first, room),
                self.copied_values.slice(first, room),
            )
        };
        let mut starts = vec![0; rows.len() * (self.chunks + 1)];
        find_starts(&self.indptr[rows.start..=rows.end], self.indices, self.k, &mut starts);
        let mut next = 0;
        for (chunk, runs) in runs.chunks_mut(rows.len()).enumerate() {
            order(&starts, self.chunks, chunk, rows.start, runs);
            next = copy(self.indices, self.values, chunk * K_CHUNK, runs, next, indices, values);
        }
    }

    /// Number of chunks of columns.
    pub fn chunks(&self) -> usize {
        self.chunks
    }

    /// Number of blocks of rows.
    pub fn blocks(&self) -> usize {
        (self.indptr.len() - 1).div_ceil(self.block)
    }

    /// The rows of a block.
    pub fn rows(&self, block: usize) -> Range<usize> {
        block * self.block..(self.indptr.len() - 1).min((block + 1) * self.block)
    }

    /// The runs of a block's rows in a chunk; without any chunk, empty ones.
    ///
    /// # Safety
    /// The block has been cut, and nobody cuts it meanwhile.
    pub unsafe fn runs(&self, block: usize, chunk: usize) -> Runs<'_> {
        let rows = self.rows(block);
        let first = self.first(block);
        // SAFETY: these runs are the block's.
        let runs = unsafe { self.runs.slice(rows.start * self.chunks.max(1) + chunk * rows.len(), rows.len()) };
        Runs { runs, indices: self.copied_indices.at(first), values: self.copied_values.at(first) }
    }
}

/// Fills `starts` `[rows, chunks + 1]`: row i has the entries `starts[i, c]..starts[i, c + 1]` in
/// chunk c.
///
/// # Panics
/// If the indices of a row do not ascend, or one is not below `k`.
pub fn find_starts(indptr: &[u32], indices: &[u32], k: usize, starts: &mut [u32]) {
    let (rows, chunks) = (indptr.len() - 1, k.div_ceil(K_CHUNK));
    let (begin, end) = (indptr[0] as usize, indptr[rows] as usize);
    let entries = &indices[begin..end];
    // Where a row begins the index may fall; it does so nowhere else.
    let falls = |e: usize| e > 0 && e < entries.len() && entries[e] < entries[e - 1];
    let mut last = begin;
    let mut allowed = 0;
    for &row in &indptr[..rows] {
        let row = row as usize;
        assert!(row >= last && row <= end, "spmm: rows must begin in order");
        allowed += usize::from(row > last && falls(row - begin));
        last = row;
    }
    let (found, largest) = scan(entries);
    let fine = found == allowed && (entries.is_empty() || (largest as usize) < k);
    assert!(fine, "spmm: column indices of a row must ascend and be below {k}");
    assert_eq!(starts.len(), rows * (chunks + 1), "a start for each chunk of each row, and an end");
    let mut changes = Vec::new();
    if chunks > 1 {
        find_changes(entries, &mut changes);
    }
    // Past the end, so that there is always another.
    changes.push(u32::MAX);
    let mut changes = &changes[..];
    for (starts, ends) in starts.chunks_mut(chunks + 1).zip(indptr.windows(2)) {
        let mut chunk = 0;
        // A row begins in its first entry's chunk, also where the row before it ended there.
        if ends[0] < ends[1] {
            let first = indices[ends[0] as usize] as usize / K_CHUNK;
            starts[..=first].fill(ends[0]);
            chunk = first + 1;
            let past = |at: u32| at.saturating_add(begin as u32);
            while past(changes[0]) <= ends[0] {
                changes = &changes[1..];
            }
            while past(changes[0]) < ends[1] {
                let at = past(changes[0]);
                let next = indices[at as usize] as usize / K_CHUNK;
                // Seldom more than one.
                while chunk <= next {
                    starts[chunk] = at;
                    chunk += 1;
                }
                changes = &changes[1..];
            }
        }
        starts[chunk..].fill(ends[1]);
    }
}

simd_fn! {
    /// The entries that are in another chunk than the one before.
    fn find_changes(indices: &[u32], changes: &mut Vec<u32>) {
        const LANES: usize = 16;
        let pairs = indices.len().saturating_sub(1);
        let mut found = 0;
        for from in (0..pairs).step_by(LANES) {
            if changes.len() < found + LANES + 2 {
                changes.resize(2 * (found + LANES + 2), 0);
            }
            let mut bits = 0u32;
            if let (Some(before), Some(after)) = (indices.get(from..from + LANES), indices.get(from + 1..from + 1 + LANES)) {
                for l in 0..LANES {
                    bits |= u32::from((before[l] ^ after[l]) >= K_CHUNK as u32) << l;
                }
            } else {
                for l in 0..pairs - from {
                    bits |= u32::from((indices[from + l] ^ indices[from + l + 1]) >= K_CHUNK as u32) << l;
                }
            }
            // Without asking whether there are any, up to two.
            for _ in 0..2 {
                changes[found] = (from + 1) as u32 + bits.trailing_zeros();
                found += usize::from(bits != 0);
                bits &= bits.wrapping_sub(1);
            }
            while bits != 0 {
                changes[found] = (from + 1) as u32 + bits.trailing_zeros();
                found += 1;
                bits &= bits - 1;
            }
        }
        changes.truncate(found);
    }
}

simd_fn! {
    /// How often an index is smaller than the one before, and the largest.
    fn scan(indices: &[u32]) -> (usize, u32) {
        let mut falls = 0u32;
        let mut largest = indices.first().copied().unwrap_or(0);
        for (before, &index) in indices.iter().zip(indices.get(1..).unwrap_or(&[])) {
            falls += u32::from(index < *before);
            largest = largest.max(index);
        }
        (falls as usize, largest)
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
    let run_of = |i: usize| {
        let at = i * (chunks + 1) + chunk;
        Run { row: (first + i) as u32, begin: starts[at], count: starts[at + 1] - starts[at] }
    };
    let mut next = [0u32; LENGTHS + 1];
    for i in 0..runs.len() {
        next[(run_of(i).count as usize).min(LENGTHS - 1) + 1] += 1;
    }
    for length in 0..LENGTHS {
        next[length + 1] += next[length];
    }
    for i in 0..runs.len() {
        let run = run_of(i);
        let slot = &mut next[(run.count as usize).min(LENGTHS - 1)];
        runs[*slot as usize] = run;
        *slot += 1;
    }
}

simd_fn! {
    /// Copies the entries of ordered runs of a chunk, which begins at column `from`, to place `next` and
    /// on, and makes the runs say so. Returns where the next one goes.
    fn copy(
        indices: &[u32],
        values: &[f32],
        from: usize,
        runs: &mut [Run],
        next: usize,
        to_indices: &mut [u32],
        to_values: &mut [f32],
    ) -> usize {
        let mut next = next;
        let (fours, rest) = runs.as_chunks_mut::<SIDE>();
        for four in fours {
            let filled = Runs::are_filled(four);
            let longest = Runs::filled(four);
            for run in four {
                let length = if filled { longest } else { run.count } as usize;
                copy_run(indices, values, from as u32, run, length, next, to_indices, to_values);
                next += length;
            }
        }
        for run in rest {
            let length = run.count as usize;
            copy_run(indices, values, from as u32, run, length, next, to_indices, to_values);
            next += length;
        }
        next
    }
}

#[inline(always)]
fn copy_vector(
    indices: &[u32; COPIED],
    values: &[f32; COPIED],
    from: u32,
    to_indices: &mut [u32; COPIED],
    to_values: &mut [f32; COPIED],
) {
    for l in 0..COPIED {
        to_indices[l] = indices[l].wrapping_sub(from);
    }
    *to_values = *values;
}

/// Copies the entries of a run and fills them up to `length`.
#[inline(always)]
fn copy_run(
    indices: &[u32],
    values: &[f32],
    from: u32,
    run: &mut Run,
    length: usize,
    next: usize,
    to_indices: &mut [u32],
    to_values: &mut [f32],
) {
    let (begin, count) = (run.begin as usize, run.count as usize);
    let (to_indices, to_values) = (&mut to_indices[next..], &mut to_values[next..]);
    // Whole vectors: what is past the run is overwritten by the runs after it.
    let reach = count.next_multiple_of(COPIED);
    if begin + reach <= indices.len() && reach <= to_indices.len() {
        let indices = indices[begin..begin + reach].as_chunks::<COPIED>().0;
        let values = values[begin..begin + reach].as_chunks::<COPIED>().0;
        let to_indices = to_indices[..reach].as_chunks_mut::<COPIED>().0;
        let to_values = to_values[..reach].as_chunks_mut::<COPIED>().0;
        // Most runs have one or two; a loop over any number would become a call to copy memory.
        if let ([to_index, ..], [to_value, ..]) = (&mut *to_indices, &mut *to_values) {
            copy_vector(&indices[0], &values[0], from, to_index, to_value);
        }
        if let ([_, to_index, ..], [_, to_value, ..]) = (&mut *to_indices, &mut *to_values) {
            copy_vector(&indices[1], &values[1], from, to_index, to_value);
        }
        for v in 2..indices.len() {
            copy_vector(&indices[v], &values[v], from, &mut to_indices[v], &mut to_values[v]);
        }
    } else {
        for e in 0..count {
            to_indices[e] = indices[begin + e] - from;
            to_values[e] = values[begin + e];
        }
    }
    for e in count..length {
        (to_indices[e], to_values[e]) = FILL;
    }
    run.begin = next as u32;
}

#[cfg(test)]
mod tests {
    use super::{K_CHUNK, find_starts};

    fn starts(indptr: &[u32], indices: &[u32], k: usize) -> Vec<u32> {
        let mut starts = vec![0; (indptr.len() - 1) * (k.div_ceil(K_CHUNK) + 1)];
        find_starts(indptr, indices, k, &mut starts);
        starts
    }

    #[test]
    fn starts_lie_at_multiples_of_256_of_the_column() {
        let indices = [9, 1, 255, 256, 600, 0, 5, 599];
        assert_eq!(starts(&[1, 5, 5, 8], &indices, 601), [1, 3, 4, 5, 5, 5, 5, 5, 5, 7, 7, 8]);
    }

    #[test]
    #[should_panic(expected = "must ascend")]
    fn an_index_smaller_than_the_one_before_is_refused() {
        starts(&[0, 2, 4], &[1, 2, 9, 3], 10);
    }

    #[test]
    #[should_panic(expected = "must ascend")]
    fn a_fall_within_a_row_is_not_excused_by_none_at_its_end() {
        starts(&[0, 2, 4], &[5, 1, 2, 3], 10);
    }

    #[test]
    #[should_panic(expected = "below 10")]
    fn an_index_past_the_columns_is_refused() {
        starts(&[0, 2], &[1, 10], 10);
    }
}
