//! The threads of a CPU backend and how rows are dealt to them.

use super::team::{Team, wait_until};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// A fixed number of threads. Work is cut so that every output element is computed whole by
/// one thread; the cut never changes a bit.
///
/// The caller is one of them: there are no more threads at work than asked for, and it need not wait
/// for another one to wake up.
pub struct Threads {
    /// The others.
    team: Option<Team>,
    count: usize,
}

/// Work below this many scalar operations runs on the calling thread: waking a worker costs some
/// microseconds.
const SERIAL_WORK: usize = 32 * 1024;

impl Threads {
    /// `count` threads (at least one). With one, everything runs on the caller.
    pub fn new(count: usize) -> Self {
        let count = count.max(1);
        Threads { team: (count > 1).then(|| Team::new(count - 1)), count }
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
        self.rows_of([out], [row_len], work, align, |first, [rows]| f(first, rows));
    }

    /// [`Threads::rows`] over several outputs at once: calls `f(first_row, pieces)` with the same run
    /// of whole rows of each. Row `r` of output `k` has `row_lens[k]` elements (0: the output has
    /// none, its piece is empty); the first output says how many rows there are. An output may end
    /// within the last row.
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
        let rows = outs[0].len().div_ceil(row_lens[0]);
        let total = rows.saturating_mul(work.max(1));
        if self.team.is_none() || total <= SERIAL_WORK || rows <= align {
            return f(0, outs);
        }
        // Four runs per thread even out a busy core; never less work than waking one costs.
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
        self.stages([n], n.saturating_mul(work.max(1)), |_, i| f(i));
    }

    /// Calls `f(stage, i)` for every `i` below `counts[stage]`, stage after stage: none begins before the
    /// one before has ended. In parallel if `work` scalar operations in all are worth it; that wakes the
    /// threads once, not once per stage, and the caller is at work while they wake up.
    pub fn stages<const S: usize>(&self, counts: [usize; S], work: usize, f: impl Fn(usize, usize) + Sync) {
        let most = counts.into_iter().max().unwrap_or(0);
        let Some(team) = self.team.as_ref().filter(|_| most > 1 && work > SERIAL_WORK) else {
            return (0..S).for_each(|stage| (0..counts[stage]).for_each(|i| f(stage, i)));
        };
        /// Counts a call as done however it ends, so that nobody waits for one that has panicked.
        struct Done<'a>(&'a AtomicUsize, &'a AtomicBool);
        impl Drop for Done<'_> {
            fn drop(&mut self) {
                if std::thread::panicking() {
                    self.1.store(true, Ordering::Relaxed);
                }
                self.0.fetch_add(1, Ordering::Release);
            }
        }
        let failed = AtomicBool::new(false);
        let [taken, done] = [(); 2].map(|()| [(); S].map(|()| AtomicUsize::new(0)));
        let work = || {
            for stage in 0..S {
                loop {
                    let i = taken[stage].fetch_add(1, Ordering::Relaxed);
                    if i >= counts[stage] {
                        break;
                    }
                    let _done = Done(&done[stage], &failed);
                    f(stage, i);
                }
                // What is not done is being done by a thread at work.
                wait_until(|| done[stage].load(Ordering::Acquire) >= counts[stage]);
                // The next stage builds upon this one.
                if failed.load(Ordering::Relaxed) {
                    return;
                }
            }
        };
        team.run(&work);
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

    #[test]
    fn all_of_a_last_row_that_is_cut_short_is_dealt() {
        for threads in [1, 2, 7] {
            let mut out = vec![0usize; 10 * 1000 - 1];
            Threads::new(threads).rows(&mut out, 10, 1 << 20, 1, |first, rows| {
                rows.iter_mut().enumerate().for_each(|(i, v)| *v += 10 * first + i + 1);
            });
            assert!(out.iter().enumerate().all(|(i, &v)| v == i + 1), "{threads} threads");
        }
    }

    #[test]
    fn no_stage_begins_after_one_that_has_failed() {
        for threads in [1, 2, 7] {
            let later = AtomicUsize::new(0);
            let stages = || {
                Threads::new(threads).stages([100, 100], 1 << 30, |stage, i| {
                    assert!(stage > 0 || i != 50, "the failure");
                    later.fetch_add(stage, Ordering::Relaxed);
                });
            };
            assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(stages)).is_err());
            assert_eq!(later.load(Ordering::Relaxed), 0, "{threads} threads");
        }
    }
}
