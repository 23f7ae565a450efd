//! The threads of a CPU backend and how rows are dealt to them.

use rayon::prelude::*;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A fixed number of worker threads. Work is cut so that every output element is computed whole by
/// one thread; the cut never changes a bit.
pub struct Threads {
    pool: Option<rayon::ThreadPool>,
    count: usize,
}

/// Work below this many scalar operations runs on the calling thread: waking a worker costs some
/// microseconds.
const SERIAL_WORK: usize = 32 * 1024;

impl Threads {
    /// `count` threads (at least one). With one, everything runs on the caller.
    pub fn new(count: usize) -> Self {
        let count = count.max(1);
        let pool = (count > 1).then(|| {
            let builder = rayon::ThreadPoolBuilder::new().num_threads(count);
            builder.thread_name(|i| format!("cytograd-{i}")).build().ok()
        });
        Threads { pool: pool.flatten(), count }
    }

    /// Number of threads.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Calls `f(first_row, rows)` on disjoint runs of whole rows of `out` (`row_len` elements each),
    /// together all of them. `work` is the number of scalar operations per row; runs are a multiple
    /// of `align` rows (except the last).
    pub fn rows<T: Send>(
        &self,
        out: &mut [T],
        row_len: usize,
        work: usize,
        align: usize,
        f: impl Fn(usize, &mut [T]) + Sync,
    ) {
        if out.is_empty() || row_len == 0 {
            return;
        }
        let rows = out.len() / row_len;
        let total = rows.saturating_mul(work.max(1));
        match &self.pool {
            Some(pool) if total > SERIAL_WORK && rows > align => {
                // Four runs per thread even out a busy core; never less work than waking one costs.
                let pieces = (self.count * 4).min(total.div_ceil(SERIAL_WORK)).max(1);
                let per = rows.div_ceil(pieces).next_multiple_of(align.max(1));
                pool.install(|| {
                    out.par_chunks_mut(per * row_len).enumerate().for_each(|(i, chunk)| f(i * per, chunk));
                });
            }
            _ => f(0, out),
        }
    }

    /// [`Threads::rows`] over several outputs at once: calls `f(first_row, pieces)` with the same run
    /// of whole rows of each. Row `r` of output `k` has `row_lens[k]` elements (0: the output has
    /// none, its piece is empty); the first output says how many rows there are. Another output may
    /// end within the last row.
    pub fn rows_of<T: Send, const N: usize>(
        &self,
        mut outs: [&mut [T]; N],
        row_lens: [usize; N],
        work: usize,
        align: usize,
        f: impl Fn(usize, [&mut [T]; N]) + Sync,
    ) {
        if outs[0].is_empty() || row_lens[0] == 0 {
            return;
        }
        let rows = outs[0].len() / row_lens[0];
        let total = rows.saturating_mul(work.max(1));
        if self.pool.is_none() || total <= SERIAL_WORK || rows <= align {
            return f(0, outs);
        }
        let pieces = (self.count * 4).min(total.div_ceil(SERIAL_WORK)).max(1);
        let per = rows.div_ceil(pieces).next_multiple_of(align.max(1));
        let mut runs = Vec::with_capacity(pieces);
        let mut first = 0;
        while first < rows {
            let take = per.min(rows - first);
            let run: [&mut [T]; N] = std::array::from_fn(|k| {
                let all = std::mem::take(&mut outs[k]);
                let (run, rest) = all.split_at_mut((take * row_lens[k]).min(all.len()));
                outs[k] = rest;
                run
            });
            runs.push(Mutex::new(Some((first, run))));
            first += take;
        }
        self.each(runs.len(), per.saturating_mul(work.max(1)), |i| {
            let run = runs[i].lock().unwrap_or_else(|p| p.into_inner()).take();
            if let Some((first, run)) = run {
                f(first, run);
            }
        });
    }

    /// Calls `f(i)` for every `i` below `n`, in parallel if `n * work` is worth it.
    pub fn each(&self, n: usize, work: usize, f: impl Fn(usize) + Sync) {
        match &self.pool {
            Some(pool) if n > 1 && n.saturating_mul(work.max(1)) > SERIAL_WORK => {
                pool.install(|| (0..n).into_par_iter().for_each(&f));
            }
            _ => (0..n).for_each(f),
        }
    }

    /// Calls `f(stage, i)` for every `i` below `counts[stage]`, stage after stage: none begins before the
    /// one before has ended. In parallel if `work` scalar operations in all are worth it; that wakes the
    /// threads once, not once per stage.
    pub fn stages<const S: usize>(&self, counts: [usize; S], work: usize, f: impl Fn(usize, usize) + Sync) {
        let most = counts.into_iter().max().unwrap_or(0);
        let Some(pool) = self.pool.as_ref().filter(|_| most > 1 && work > SERIAL_WORK) else {
            return (0..S).for_each(|stage| (0..counts[stage]).for_each(|i| f(stage, i)));
        };
        /// Counts a call as done however it ends, so that nobody waits for one that has panicked.
        struct Done<'a>(&'a AtomicUsize);
        impl Drop for Done<'_> {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::Release);
            }
        }
        let [taken, done] = [(); 2].map(|()| [(); S].map(|()| AtomicUsize::new(0)));
        pool.install(|| {
            (0..self.count.min(most)).into_par_iter().for_each(|_| {
                for stage in 0..S {
                    loop {
                        let i = taken[stage].fetch_add(1, Ordering::Relaxed);
                        if i >= counts[stage] {
                            break;
                        }
                        let _done = Done(&done[stage]);
                        f(stage, i);
                    }
                    // What is not done is being done by a thread at work.
                    wait_until(|| done[stage].load(Ordering::Acquire) >= counts[stage]);
                }
            });
        });
    }
}

/// Waits for another thread at work.
pub fn wait_until(ready: impl Fn() -> bool) {
    let mut turns = 0;
    while !ready() {
        turns += 1;
        if turns < 64 { std::hint::spin_loop() } else { std::thread::yield_now() }
    }
}

#[cfg(test)]
mod tests {
    use super::Threads;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn a_stage_begins_when_all_of_the_one_before_is_done() {
        for threads in [1, 2, 7] {
            let calls = [(); 100].map(|()| AtomicUsize::new(0));
            Threads::new(threads).stages([100, 100], 1 << 30, |stage, i| {
                let early = stage == 1 && calls.iter().any(|n| n.load(Ordering::Relaxed) == 0);
                assert!(!early, "call {i} of the second stage came too early");
                calls[i].fetch_add(1, Ordering::Relaxed);
            });
            assert!(calls.iter().all(|n| n.load(Ordering::Relaxed) == 2));
        }
    }
}
