//! A sparse matrix cut at the chunk borders of its columns.

use crate::cpu::gemm::Shared;
use crate::kernel::gemm::K_CHUNK;
use crate::simd_fn;
use std::ops::Range;

/// Rows that are cut and ordered together, at most.
const BLOCK: usize = 512;
/// Runs are ordered by length up to this one.
const LENGTHS: usize = 64;

/// The entries of a row in one chunk.
#[derive(Clone, Copy, Default)]
pub struct Run {
    pub row: u32,
    /// First entry.
    pub begin: u32,
    pub count: u32,
}

/// The matrix as runs, chunk by chunk. Within a block of rows and a chunk runs are ordered by
/// length: then the processor foresees where the loop over entries ends. The order of rows does not
/// matter to their sums.
pub struct Cut<'a> {
    indptr: &'a [u32],
    pub indices: &'a [u32],
    pub values: &'a [f32],
    k: usize,
    runs: Shared<Run>,
    block: usize,
    chunks: usize,
}

impl<'a> Cut<'a> {
    /// A matrix of which no block is cut yet, and where the runs go, resized to their number.
    pub fn new(
        indptr: &'a [u32],
        indices: &'a [u32],
        values: &'a [f32],
        k: usize,
        threads: usize,
        runs: &'a mut Vec<Run>,
    ) -> Self {
        let (rows, chunks) = (indptr.len() - 1, k.div_ceil(K_CHUNK));
        let block = rows.div_ceil(threads).clamp(1, BLOCK);
        runs.resize(rows * chunks.max(1), Run::default());
        Cut { indptr, indices, values: &values[..indices.len()], k, runs: Shared::new(runs), block, chunks }
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
        // SAFETY: these runs are the block's; nobody else uses them as the caller says.
        let runs = unsafe { self.runs.slice(rows.start * chunks, rows.len() * chunks) };
        let mut starts = Vec::new();
        find_starts(&self.indptr[rows.start..=rows.end], self.indices, self.k, &mut starts);
        for (chunk, runs) in runs.chunks_mut(rows.len()).enumerate() {
            order(&starts, self.chunks, chunk, rows.start, runs);
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
    pub unsafe fn runs(&self, block: usize, chunk: usize) -> &[Run] {
        let rows = self.rows(block);
        // SAFETY: these runs are the block's.
        unsafe { self.runs.slice(rows.start * self.chunks.max(1) + chunk * rows.len(), rows.len()) }
    }
}

/// Fills `starts` `[rows, chunks + 1]`: row i has the entries `starts[i, c]..starts[i, c + 1]` in
/// chunk c.
///
/// # Panics
/// If the indices of a row do not ascend, or one is not below `k`.
pub fn find_starts(indptr: &[u32], indices: &[u32], k: usize, starts: &mut Vec<u32>) {
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
    starts.clear();
    starts.resize(rows * (chunks + 1), 0);
    for (starts, ends) in starts.chunks_mut(chunks + 1).zip(indptr.windows(2)) {
        starts.fill(ends[0]);
        for (e, index) in (ends[0]..).zip(&indices[ends[0] as usize..ends[1] as usize]) {
            // Later entries of the chunk overwrite this.
            starts[*index as usize / K_CHUNK + 1] = e + 1;
        }
        for chunk in 0..chunks {
            starts[chunk + 1] = starts[chunk + 1].max(starts[chunk]);
        }
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

#[cfg(test)]
mod tests {
    use super::find_starts;

    fn starts(indptr: &[u32], indices: &[u32], k: usize) -> Vec<u32> {
        let mut starts = Vec::new();
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
