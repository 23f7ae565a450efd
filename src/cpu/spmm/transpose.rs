//! Fast form of `spmm_transpose`: by chunks of columns, so that the lines in which the next entries
//! of all columns go stay in the first-level cache.

use super::cut::find_starts;
use crate::cpu::Threads;
use crate::cpu::gemm::Shared;
use crate::kernel::gemm::K_CHUNK;
use crate::kernel::params;
use crate::kernel::spmm::TransposeParams;

pub fn transpose(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]], threads: &Threads) {
    let p: TransposeParams = params(bytes);
    let (rows, cols) = (p.rows as usize, p.cols as usize);
    let (indptr, indices, values) = (&inputs[0][p.indptr_offset as usize..][..rows + 1], inputs[1], inputs[2]);
    let [indptr_t, indices_t, values_t] = outputs else { panic!("three outputs") };
    let entries = (indptr[rows] - indptr[0]) as usize;
    assert!(values.len() >= indices.len(), "spmm_transpose: fewer values than indices");
    let mut starts = Vec::new();
    find_starts(indptr, indices, cols, &mut starts);
    let chunks = cols.div_ceil(K_CHUNK);
    // Entries of a row in the columns of a chunk.
    let run = |i: usize, chunk: usize| {
        let at = i * (chunks + 1) + chunk;
        starts[at] as usize..starts[at + 1] as usize
    };
    indptr_t[..=cols][cols] = entries as u32;
    let indptr_t = Shared::new(&mut indptr_t[..cols]);
    let indices_t = Shared::new(&mut indices_t[..entries]);
    let values_t = Shared::new(&mut values_t[..entries]);
    threads.each(chunks, entries * 4 / chunks.max(1), |chunk| {
        let first = chunk * K_CHUNK;
        let count = K_CHUNK.min(cols - first);
        // Where the next entry of each column goes.
        let mut next = [0u32; K_CHUNK + 1];
        next[0] = (0..rows).map(|i| run(i, chunk).start as u32 - indptr[i]).sum();
        for i in 0..rows {
            for &column in &indices[run(i, chunk)] {
                next[(column as usize - first) % K_CHUNK + 1] += 1;
            }
        }
        for column in 0..count {
            next[column + 1] += next[column];
        }
        // SAFETY: these columns are this task's.
        unsafe { indptr_t.slice(first, count) }.copy_from_slice(&next[..count]);
        for i in 0..rows {
            let run = run(i, chunk);
            for (&column, &value) in indices[run.clone()].iter().zip(&values[run]) {
                let slot = &mut next[(column as usize - first) % K_CHUNK];
                // SAFETY: slots number the matrix's entries by column, then row: each is below
                // `entries` and is written once.
                unsafe {
                    *indices_t.at(*slot as usize) = i as u32;
                    *values_t.at(*slot as usize) = value;
                }
                *slot += 1;
            }
        }
    });
}
