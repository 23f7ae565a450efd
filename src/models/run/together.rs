//! Pieces of work side by side: on the CPU each on one thread, on another device one after the other.

use super::interrupt;
use crate::device::Device;
use crate::error::Result;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

/// Does the pieces of work `open` with `work(piece, device)`, up to `threads` at a time; `each` hears of
/// every result, on the calling thread, in the order in which they are ready. After an error no piece is
/// begun; those under way are finished and told.
///
/// # Errors
/// The first of `work` and `each`; `Error::Interrupted` once someone asks to stop.
pub fn together<T: Send>(
    open: &[usize],
    threads: usize,
    device: &Device,
    work: &(dyn Fn(usize, &Device) -> Result<T> + Sync),
    each: &mut dyn FnMut(usize, T) -> Result<()>,
) -> Result<()> {
    // On the CPU a piece takes one thread; another device has room for one piece.
    let on_cpu = device.name() == "cpu";
    let workers = if on_cpu { threads.clamp(1, open.len().max(1)) } else { 1 };
    let next = AtomicUsize::new(0);
    let (sender, receiver) = mpsc::channel();
    let mut failed = None;
    std::thread::scope(|scope| {
        for _ in 0..workers {
            let (sender, next) = (sender.clone(), &next);
            scope.spawn(move || {
                let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build();
                while let Some(&at) = open.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let device = if on_cpu { Device::cpu(1) } else { device.clone() };
                    let done = match (&alone, interrupt::check("")) {
                        (_, Err(stop)) => Err(stop),
                        (Ok(pool), _) if on_cpu => pool.install(|| work(at, &device)),
                        _ => work(at, &device),
                    };
                    let over = done.is_err();
                    // Nobody listens any more after a failure.
                    if sender.send((at, done)).is_err() || over {
                        break;
                    }
                }
            });
        }
        drop(sender);
        for (at, done) in receiver {
            // Others finish what they are at; what they find is kept.
            if let Err(error) = done.and_then(|result| each(at, result)) {
                next.store(usize::MAX / 2, Ordering::SeqCst);
                failed.get_or_insert(error);
            }
        }
    });
    failed.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn every_piece_is_done_once_and_what_is_ready_before_an_error_is_told() {
        let run = |threads: usize, bad: usize| {
            let mut told = Vec::new();
            let open: Vec<usize> = (0..20).step_by(2).collect();
            let result = together(
                &open,
                threads,
                &Device::cpu(1),
                &|at, _| if at == bad { Err(Error::usage("bad", "none")) } else { Ok(at * at) },
                &mut |at, square| {
                    told.push((at, square));
                    Ok(())
                },
            );
            told.sort_unstable();
            (result.is_ok(), told)
        };
        let all: Vec<(usize, usize)> = (0..20).step_by(2).map(|at| (at, at * at)).collect();
        for threads in [1, 2, 7] {
            assert_eq!(run(threads, 99), (true, all.clone()));
        }
        assert_eq!(run(1, 4), (false, vec![(0, 0), (2, 4)]));
    }
}
