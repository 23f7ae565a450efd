//! Threads that help their caller with a piece of work at a time.
//!
//! Kernels follow each other within microseconds, while it takes many to wake a thread that sleeps.
//! So helpers stay awake for a while after each work, and nobody waits for one that is not awake: the
//! caller works too, and when it has finished, those that have not begun need not.

use std::any::Any;
use std::cell::UnsafeCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a helper without work stays awake.
const AWAKE: Duration = Duration::from_micros(200);

/// What is to be done, by anyone who has time: returns when nothing is left to begin.
type Work<'a> = dyn Fn() + Sync + 'a;

/// Helpers of one caller at a time.
pub struct Team {
    shared: Arc<Shared>,
    helpers: Vec<JoinHandle<()>>,
    /// Held by the caller at work.
    caller: Mutex<()>,
}

struct Shared {
    /// Valid while `entrance` is open or helpers are inside.
    work: UnsafeCell<Option<*const Work<'static>>>,
    /// How many works there have been.
    count: AtomicUsize,
    /// Helpers inside the work; [`CLOSED`] is added if no more may enter.
    entrance: AtomicUsize,
    stop: AtomicBool,
    /// Helpers asleep, or about to be.
    asleep: AtomicUsize,
    sleep: Mutex<()>,
    wake: Condvar,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

const CLOSED: usize = 1 << (usize::BITS - 1);

// SAFETY: the work may be called from any thread (`Sync`); who reads or writes the pointer is settled
// by `entrance`: callers write while it is closed and nobody is inside, helpers read inside.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Team {
    /// So many helpers, or as many as the system gives.
    pub fn new(helpers: usize) -> Self {
        let shared = Arc::new(Shared {
            work: UnsafeCell::new(None),
            count: AtomicUsize::new(0),
            entrance: AtomicUsize::new(CLOSED),
            stop: AtomicBool::new(false),
            asleep: AtomicUsize::new(0),
            sleep: Mutex::new(()),
            wake: Condvar::new(),
            panic: Mutex::new(None),
        });
        let start = |i: usize| {
            let shared = shared.clone();
            std::thread::Builder::new().name(format!("cytograd-{i}")).spawn(move || shared.help()).ok()
        };
        let helpers = (1..=helpers).map_while(start).collect();
        Team { shared, helpers, caller: Mutex::new(()) }
    }

    /// Calls `work` on this thread and on helpers that have time, and returns when all have returned.
    /// On this thread alone while the team is at work for somebody else.
    ///
    /// # Panics
    /// If `work` does, anywhere.
    pub fn run(&self, work: &Work) {
        let Ok(_caller) = self.caller.try_lock() else { return work() };
        let shared = &*self.shared;
        // SAFETY: only the lifetime changes; `Inside` waits for all helpers before `work` ends. The
        // entrance is closed and nobody is inside.
        unsafe { *shared.work.get() = Some(std::mem::transmute::<*const Work<'_>, *const Work<'static>>(work)) };
        shared.entrance.store(0, SeqCst);
        shared.count.fetch_add(1, SeqCst);
        if shared.asleep.load(SeqCst) > 0 {
            drop(shared.sleep.lock());
            shared.wake.notify_all();
        }
        {
            let _close = Close(shared);
            work();
        }
        let panic = shared.panic.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.shared.stop.store(true, SeqCst);
        drop(self.shared.sleep.lock());
        self.shared.wake.notify_all();
        for helper in self.helpers.drain(..) {
            let _ = helper.join();
        }
    }
}

/// Closes the entrance and waits for those inside, however the caller's part ends.
struct Close<'a>(&'a Shared);

impl Drop for Close<'_> {
    fn drop(&mut self) {
        self.0.entrance.fetch_or(CLOSED, SeqCst);
        wait_until(|| self.0.entrance.load(SeqCst) == CLOSED);
    }
}

impl Shared {
    /// The life of a helper.
    fn help(&self) {
        let mut seen = 0;
        loop {
            let news = || self.count.load(SeqCst) != seen || self.stop.load(SeqCst);
            let since = Instant::now();
            while !news() && since.elapsed() < AWAKE {
                for _ in 0..16 {
                    std::hint::spin_loop();
                }
                std::thread::yield_now();
            }
            if !news() {
                self.asleep.fetch_add(1, SeqCst);
                let mut sleep = self.sleep.lock().unwrap_or_else(PoisonError::into_inner);
                while !news() {
                    sleep = self.wake.wait(sleep).unwrap_or_else(PoisonError::into_inner);
                }
                self.asleep.fetch_sub(1, SeqCst);
            }
            if self.stop.load(SeqCst) {
                return;
            }
            seen = self.count.load(SeqCst);
            let enter = |inside: usize| (inside & CLOSED == 0).then_some(inside + 1);
            if self.entrance.fetch_update(SeqCst, SeqCst, enter).is_ok() {
                // SAFETY: this helper is inside; whoever set the work waits for it to leave.
                let work = unsafe { (*self.work.get()).map(|work| &*work) };
                if let Some(Err(panic)) = work.map(|work| catch_unwind(AssertUnwindSafe(work))) {
                    *self.panic.lock().unwrap_or_else(PoisonError::into_inner) = Some(panic);
                }
                self.entrance.fetch_sub(1, SeqCst);
            }
        }
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
    use super::*;

    #[test]
    fn a_team_works_for_one_caller_at_a_time_and_for_nested_ones() {
        let team = Team::new(3);
        let tasks = AtomicUsize::new(0);
        let done = AtomicUsize::new(0);
        for round in 1..=200 {
            team.run(&|| {
                while tasks.fetch_add(1, SeqCst) < round * 100 {
                    team.run(&|| {
                        done.fetch_add(1, SeqCst);
                    });
                }
            });
            assert_eq!(done.load(SeqCst), round * 100);
            tasks.store(round * 100, SeqCst);
        }
    }

    #[test]
    fn a_panic_of_a_helper_reaches_the_caller_and_the_team_lives_on() {
        let team = Team::new(2);
        let caller = std::thread::current().id();
        let entered = AtomicBool::new(false);
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            team.run(&|| {
                if std::thread::current().id() != caller {
                    entered.store(true, SeqCst);
                    panic!("a helper's");
                }
                wait_until(|| entered.load(SeqCst));
            })
        }));
        assert_eq!(outcome.unwrap_err().downcast_ref(), Some(&"a helper's"));
        let calls = AtomicUsize::new(0);
        team.run(&|| {
            calls.fetch_add(1, SeqCst);
        });
        assert!(calls.load(SeqCst) >= 1);
    }
}
