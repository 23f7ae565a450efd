//! Where the chunks of columns begin in the rows of a sparse matrix.

use crate::cpu::simd::{Level, level};
use crate::kernel::gemm::K_CHUNK;
use crate::simd_fn;

/// Fills `starts` `[rows, chunks + 1]`: row i has the entries `starts[i, c]..starts[i, c + 1]` in
/// chunk c.
///
/// # Panics
/// If the indices of a row do not ascend, or one is not below `k`.
pub fn find_starts(indptr: &[u32], indices: &[u32], k: usize, starts: &mut [u32]) {
    let (rows, chunks) = (indptr.len() - 1, k.div_ceil(K_CHUNK));
    assert!(indptr.is_sorted(), "spmm: rows must begin in order");
    assert_eq!(starts.len(), rows * (chunks + 1), "a start for each chunk of each row, and an end");
    let mut fine = chunks > 1 || ascend(indptr, indices, k);
    for (starts, ends) in starts.chunks_mut(chunks + 1).zip(indptr.windows(2)) {
        let [first, end] = [ends[0], ends[1]];
        starts[0] = first;
        if chunks < 2 {
            starts[chunks] = end;
            continue;
        }
        let mut chunk = 1;
        let mut start = |at: u32, next: usize| {
            // Seldom more than one.
            while chunk <= next.min(chunks) {
                starts[chunk] = at;
                chunk += 1;
            }
        };
        if first < end {
            start(first, indices[first as usize] as usize / K_CHUNK);
            fine &= (indices[end as usize - 1] as usize) < k;
        }
        for from in (first + 1..end).step_by(WINDOW) {
            let count = WINDOW.min((end - from) as usize);
            let (mut changes, falls) = changes(&indices[from as usize - 1..], count);
            fine &= falls == 0;
            while changes != 0 {
                let at = from + changes.trailing_zeros();
                start(at, indices[at as usize] as usize / K_CHUNK);
                changes &= changes - 1;
            }
        }
        start(end, chunks);
    }
    assert!(fine, "spmm: column indices of a row must ascend and be below {k}");
}

/// Whether the indices of all rows ascend and are below `k`.
fn ascend(indptr: &[u32], indices: &[u32], k: usize) -> bool {
    let (begin, end) = (indptr[0], indptr[indptr.len() - 1]);
    let entries = &indices[begin as usize..end as usize];
    // Where a row begins the index may fall; it does so nowhere else.
    let mut last = begin;
    let mut allowed = 0;
    for &row in indptr {
        if row > last && row < end {
            allowed += usize::from(indices[row as usize] < indices[row as usize - 1]);
        }
        last = row;
    }
    let (found, largest) = scan(entries);
    found == allowed && (entries.is_empty() || (largest as usize) < k)
}

/// Entries that are looked at together, a bit for each.
const WINDOW: usize = 64;

/// Which of `count` entries are in another chunk than the one before, beginning with the second one,
/// and which have a smaller index.
#[inline(always)]
fn changes(indices: &[u32], count: usize) -> (u64, u64) {
    let wanted = u64::MAX >> (WINDOW - count);
    #[cfg(target_arch = "x86_64")]
    if let Some(window) = indices.first_chunk::<{ WINDOW + 1 }>()
        && level() >= Level::V4
    {
        // SAFETY: the processor has these instructions, `level` has just said so.
        let (changes, falls) = unsafe { changes_of_window(window) };
        return (changes & wanted, falls & wanted);
    }
    let pairs = indices.iter().zip(&indices[1..]).take(count);
    pairs.enumerate().fold((0, 0), |(changes, falls), (i, (before, index))| {
        let changed = (before ^ index) >= K_CHUNK as u32;
        (changes | u64::from(changed) << i, falls | u64::from(index < before) << i)
    })
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn changes_of_window(indices: &[u32; WINDOW + 1]) -> (u64, u64) {
    use std::arch::x86_64::*;
    let (mut changes, mut falls) = (0, 0);
    for at in (0..WINDOW).step_by(16) {
        // SAFETY: so many indices exist.
        let [before, index] = [0, 1].map(|i| unsafe { _mm512_loadu_epi32(indices.as_ptr().add(at + i).cast()) });
        let differs = _mm512_cmpge_epu32_mask(_mm512_xor_epi32(before, index), _mm512_set1_epi32(K_CHUNK as i32));
        changes |= u64::from(differs) << at;
        falls |= u64::from(_mm512_cmplt_epu32_mask(index, before)) << at;
    }
    (changes, falls)
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
    fn a_fall_is_refused_among_several_chunks_too() {
        starts(&[0, 2, 4], &[300, 299, 1, 2], 600);
    }

    #[test]
    #[should_panic(expected = "below 600")]
    fn an_index_past_the_columns_is_refused_among_several_chunks_too() {
        starts(&[0, 2, 3], &[1, 600, 2], 600);
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
