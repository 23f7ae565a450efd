//! A sparse matrix cut at the chunk borders of its columns.

use crate::cpu::Threads;
use crate::kernel::gemm::K_CHUNK;
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
    pub indices: &'a [u32],
    pub values: &'a [f32],
    runs: Vec<Run>,
    rows: usize,
    block: usize,
    chunks: usize,
}

impl<'a> Cut<'a> {
    /// # Panics
    /// If the indices of a row do not ascend, or one is not below `k`.
    pub fn new(indptr: &[u32], indices: &'a [u32], values: &'a [f32], k: usize, threads: &Threads) -> Self {
        let (rows, chunks) = (indptr.len() - 1, k.div_ceil(K_CHUNK));
        let block = rows.div_ceil(threads.count()).clamp(1, BLOCK);
        let mut runs = vec![Run::default(); rows * chunks.max(1)];
        let work = block * (values.len() / rows.max(1) + 8 * chunks);
        threads.rows(&mut runs, block * chunks.max(1), work, 1, |first, piece| {
            let mut starts = Vec::new();
            for (i, runs) in piece.chunks_mut(block * chunks.max(1)).enumerate() {
                let first = (first + i) * block;
                let rows = runs.len() / chunks.max(1);
                find_starts(&indptr[first..=first + rows], indices, k, &mut starts);
                for (chunk, runs) in runs.chunks_mut(rows).enumerate() {
                    order(&starts, chunks, chunk, first, runs);
                }
            }
        });
        Cut { indices, values: &values[..indices.len()], runs, rows, block, chunks }
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
    pub fn runs(&self, block: usize, chunk: usize) -> &[Run] {
        let rows = self.rows(block);
        let first = rows.start * self.chunks.max(1) + chunk * rows.len();
        &self.runs[first..first + rows.len()]
    }
}

/// Fills `starts` `[rows, chunks + 1]`: row i has the entries `starts[i, c]..starts[i, c + 1]` in
/// chunk c.
///
/// # Panics
/// If the indices of a row do not ascend, or one is not below `k`.
pub fn find_starts(indptr: &[u32], indices: &[u32], k: usize, starts: &mut Vec<u32>) {
    let (rows, chunks) = (indptr.len() - 1, k.div_ceil(K_CHUNK));
    starts.clear();
    starts.resize(rows * (chunks + 1), 0);
    for (starts, ends) in starts.chunks_mut(chunks + 1).zip(indptr.windows(2)) {
        let (begin, end) = (ends[0] as usize, ends[1] as usize);
        starts.fill(begin as u32);
        let (mut last, mut fine) = (0, true);
        for (e, &index) in indices[begin..end].iter().enumerate() {
            fine &= index >= last && (index as usize) < k;
            last = index;
            // Later entries of the chunk overwrite this.
            if let Some(start) = starts.get_mut(index as usize / K_CHUNK + 1) {
                *start = (begin + e + 1) as u32;
            }
        }
        assert!(fine, "spmm: column indices of a row must ascend and be below {k}");
        for c in 0..chunks {
            starts[c + 1] = starts[c + 1].max(starts[c]);
        }
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
