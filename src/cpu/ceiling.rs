//! What the machine can do at most: fused multiply-adds in registers, copies in memory. Kernels are
//! judged against these.

use super::simd::{Level, level};
use std::hint::black_box;
use std::time::Instant;

/// Independent chains, enough to cover the latency of two units.
const CHAINS: usize = 12;

/// Floating-point operations per second of `threads` threads doing fused multiply-adds on
/// registers: what no product can exceed. The best of several runs, some milliseconds in all.
pub fn fma_rate(threads: usize) -> f64 {
    const STEPS: usize = 200_000;
    let lanes = match level() {
        Level::V4 => 16,
        Level::V3 => 8,
        Level::Base => 4,
    };
    let run = || {
        let start = Instant::now();
        on_threads(threads, || {
            black_box(chains(STEPS));
        });
        (2 * CHAINS * lanes * STEPS * threads) as f64 / start.elapsed().as_secs_f64()
    };
    (0..9).map(|_| run()).fold(0.0, f64::max)
}

/// Bytes per second, read plus written, of `threads` threads copying `bytes`. The best of several runs.
pub fn copy_rate(bytes: usize, threads: usize) -> f64 {
    let words = (bytes / 4).max(1);
    let from = vec![1.0f32; words];
    let mut to = vec![0.0f32; words];
    let per = words.div_ceil(threads.max(1));
    let mut run = || {
        let start = Instant::now();
        std::thread::scope(|scope| {
            let mut pieces = to.chunks_mut(per).zip(from.chunks(per));
            let first = pieces.next();
            for (to, from) in pieces {
                scope.spawn(move || to.copy_from_slice(from));
            }
            if let Some((to, from)) = first {
                to.copy_from_slice(from);
            }
        });
        black_box(&mut to);
        (8 * words) as f64 / start.elapsed().as_secs_f64()
    };
    (0..9).map(|_| run()).fold(0.0, f64::max)
}

fn on_threads(threads: usize, f: impl Fn() + Sync) {
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(&f);
        }
        f();
    });
}

#[cfg(target_arch = "x86_64")]
fn chains(steps: usize) -> f32 {
    use std::arch::x86_64::*;
    #[target_feature(enable = "avx512f")]
    fn wide(steps: usize) -> f32 {
        let (x, y) = (_mm512_set1_ps(black_box(0.5)), _mm512_set1_ps(black_box(0.25)));
        let mut chains = [x; CHAINS];
        for _ in 0..steps {
            for chain in &mut chains {
                *chain = _mm512_fmadd_ps(*chain, x, y);
            }
        }
        chains.iter().map(|v| _mm512_reduce_add_ps(*v)).sum()
    }
    #[target_feature(enable = "avx2,fma")]
    fn narrow(steps: usize) -> f32 {
        let (x, y) = (_mm256_set1_ps(black_box(0.5)), _mm256_set1_ps(black_box(0.25)));
        let mut chains = [x; CHAINS];
        for _ in 0..steps {
            for chain in &mut chains {
                *chain = _mm256_fmadd_ps(*chain, x, y);
            }
        }
        chains.iter().map(|v| _mm256_cvtss_f32(*v)).sum()
    }
    match level() {
        // SAFETY: the processor has these features, `level` has just said so.
        Level::V4 => unsafe { wide(steps) },
        // SAFETY: as above.
        Level::V3 => unsafe { narrow(steps) },
        Level::Base => portable(steps),
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn chains(steps: usize) -> f32 {
    portable(steps)
}

/// Without fused operations: multiply and add.
fn portable(steps: usize) -> f32 {
    let (x, y) = (black_box(0.5f32), black_box(0.25f32));
    let mut chains = [[x; 4]; CHAINS];
    for _ in 0..steps {
        for v in chains.iter_mut().flatten() {
            *v = *v * x + y;
        }
    }
    chains.iter().flatten().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ceilings_are_plausible() {
        assert!(fma_rate(1) > 1e8 && copy_rate(1 << 20, 2) > 1e7);
    }
}
