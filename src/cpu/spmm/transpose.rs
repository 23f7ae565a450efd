//! Fast form of `spmm_transpose`: entries are counted by parts of rows, then put in their places by
//! chunks of columns, so that the lines in which the next entries of all columns go stay in the
//! first-level cache.

use super::borders::find_starts;
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
    let ordered = indptr.is_sorted() && indptr[rows] as usize <= indices.len();
    assert!(ordered, "spmm_transpose: rows must begin in order, and within the entries");
    assert!(values.len() >= indices.len(), "spmm_transpose: fewer values than indices");
    let entries = (indptr[rows] - indptr[0]) as usize;
    let chunks = cols.div_ceil(K_CHUNK);
    let parts = threads.count().clamp(1, rows.max(1));
    let part = |i: usize| rows * i / parts..rows * (i + 1) / parts;
    let mut starts = vec![0; rows * (chunks + 1)];
    let mut counts = vec![0; parts * cols];
    let starts = Shared::new(&mut starts);
    let counts = Shared::new(&mut counts);
    let indptr_t = Shared::new(&mut indptr_t[..=cols]);
    let indices_t = Shared::new(&mut indices_t[..entries]);
    let values_t = Shared::new(&mut values_t[..entries]);
    threads.stages([parts, 1, chunks], entries * 4, |stage, task| match stage {
        0 => {
            let rows = part(task);
            // SAFETY: these rows' starts and these counts are this task's.
            let (starts, counts) = unsafe {
                (starts.slice(rows.start * (chunks + 1), rows.len() * (chunks + 1)), counts.slice(task * cols, cols))
            };
            let indptr = &indptr[rows.start..=rows.end];
            find_starts(indptr, indices, cols, starts);
            for &column in &indices[indptr[0] as usize..indptr[rows.len()] as usize] {
                counts[column as usize] += 1;
            }
        }
        1 => {
            // SAFETY: this stage has one task.
            let (counts, indptr_t) = unsafe { (counts.slice(0, parts * cols), indptr_t.slice(0, cols + 1)) };
            let mut next = 0;
            for column in 0..cols {
                indptr_t[column] = next;
                next += (0..parts).map(|part| counts[part * cols + column]).sum::<u32>();
            }
            indptr_t[cols] = next;
        }
        _ => {
            let first = task * K_CHUNK;
            let count = K_CHUNK.min(cols - first);
            // Where the next entry of each column goes.
            let mut next = [0u32; K_CHUNK];
            // SAFETY: nobody writes the offsets or the starts in this stage.
            let starts = unsafe {
                next[..count].copy_from_slice(indptr_t.slice(first, count));
                std::slice::from_raw_parts(starts.at(0), rows * (chunks + 1))
            };
            // Known to stay what they are, whatever is written.
            let (rows_at, values_at) = (indices_t.at(0), values_t.at(0));
            for i in 0..rows {
                let at = i * (chunks + 1) + task;
                // Entries of the row in these columns.
                let run = starts[at] as usize..starts[at + 1] as usize;
                for (&column, &value) in indices[run.clone()].iter().zip(&values[run]) {
                    let slot = &mut next[column as usize % K_CHUNK];
                    // SAFETY: slots number the matrix's entries by column, then row: each is below
                    // `entries` and is written once, by the task of its column.
                    unsafe {
                        *rows_at.add(*slot as usize) = i as u32;
                        *values_at.add(*slot as usize) = value;
                    }
                    *slot += 1;
                }
            }
        }
    });
}
