//! Timing for the benches: candidates take turns, so that a busy machine slows all of them alike,
//! and each rate is printed beside its ceiling, measured in the same run.
//!
//! ```ignore
//! #[path = "measure.rs"]
//! mod measure;
//! let stats = measure::compare(15, &mut [("ours", &mut || ours()), ("bare", &mut || bare())]);
//! measure::rate("ours", &stats[0], flops, "GFLOP/s", measure::fma_peak(1));
//! measure::verdict("ours against bare", measure::ratio(&stats[1], &stats[0]), 0.95);
//! ```
#![allow(dead_code)]

use std::time::Instant;

/// Seconds per call.
#[derive(Clone, Debug)]
pub struct Stats {
    pub median: f64,
    pub min: f64,
    pub max: f64,
    /// One per round.
    pub samples: Vec<f64>,
}

/// A sample is at least this long; short functions are repeated.
const SAMPLE: f64 = 2e-3;

/// Runs every candidate once per round, in turn, after a warm-up. Short ones are repeated within a
/// round. The order rotates.
pub fn compare(rounds: usize, candidates: &mut [(&str, &mut dyn FnMut())]) -> Vec<Stats> {
    let time = |f: &mut dyn FnMut(), repeats: usize| {
        let start = Instant::now();
        for _ in 0..repeats {
            f();
        }
        start.elapsed().as_secs_f64() / repeats as f64
    };
    let repeats: Vec<usize> = candidates
        .iter_mut()
        .map(|(_, f)| {
            f();
            let once = time(f, 1).min(time(f, 1)).max(1e-9);
            (SAMPLE / once).ceil().clamp(1.0, 1e6) as usize
        })
        .collect();
    let n = candidates.len();
    let mut samples = vec![Vec::with_capacity(rounds); n];
    for round in 0..rounds {
        for turn in 0..n {
            let i = (round + turn) % n;
            samples[i].push(time(candidates[i].1, repeats[i]));
        }
    }
    samples.into_iter().map(stats).collect()
}

fn stats(samples: Vec<f64>) -> Stats {
    Stats {
        median: median(samples.clone()),
        min: samples.iter().copied().fold(f64::INFINITY, f64::min),
        max: samples.iter().copied().fold(0.0, f64::max),
        samples,
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// How many times longer `a` takes than `b`: the median over rounds, each round's two times being
/// neighbours.
pub fn ratio(a: &Stats, b: &Stats) -> f64 {
    median(a.samples.iter().zip(&b.samples).map(|(a, b)| a / b).collect())
}

/// A heading.
pub fn title(text: &str) {
    println!("\n{text}");
}

/// Prints time per call, spread, and the rate of `work` units per call in `unit` (1e9 per second)
/// beside the ceiling, in units per second.
pub fn rate(name: &str, stats: &Stats, work: f64, unit: &str, ceiling: f64) {
    let rate = work / stats.median;
    println!(
        "  {name:<34} {:>10}  ({} to {})  {:8.2} {unit} = {:5.1} % of {:.1}",
        seconds(stats.median),
        seconds(stats.min),
        seconds(stats.max),
        rate / 1e9,
        100.0 * rate / ceiling,
        ceiling / 1e9,
    );
}

/// Prints time per call and spread alone.
pub fn duration(name: &str, stats: &Stats) {
    println!("  {name:<34} {:>10}  ({} to {})", seconds(stats.median), seconds(stats.min), seconds(stats.max));
}

/// Prints a ratio and whether it reaches its target.
pub fn verdict(what: &str, ratio: f64, target: f64) {
    let word = if ratio >= target { "reached" } else { "MISSED" };
    println!("  {what:<34} {ratio:8.2} x   target {target:.2}: {word}");
}

fn seconds(s: f64) -> String {
    match s {
        s if s < 1e-6 => format!("{:.1} ns", s * 1e9),
        s if s < 1e-3 => format!("{:.1} us", s * 1e6),
        s if s < 1.0 => format!("{:.2} ms", s * 1e3),
        s => format!("{s:.2} s"),
    }
}

/// Runs `f(part)` on `threads` threads at once.
pub fn parallel(threads: usize, f: impl Fn(usize) + Sync) {
    if threads == 1 {
        return f(0);
    }
    std::thread::scope(|scope| {
        for part in 1..threads {
            let f = &f;
            scope.spawn(move || f(part));
        }
        f(0);
    });
}

/// Floating-point operations per second of fused multiply-adds that stay in registers.
pub fn fma_peak(threads: usize) -> f64 {
    cytograd::cpu::ceiling::fma_rate(threads)
}

/// Bytes per second (read plus written) of copying `bytes` from one buffer to another.
pub fn copy_bandwidth(bytes: usize, threads: usize) -> f64 {
    cytograd::cpu::ceiling::copy_rate(bytes, threads)
}

/// A buffer of a backend holding `values`.
pub fn upload(backend: &dyn cytograd::backend::Backend, values: &[f32]) -> cytograd::backend::Buffer {
    let buffer = backend.alloc(values.len() * 4).expect("memory");
    backend.upload(&buffer, bytemuck::cast_slice(values)).expect("upload");
    buffer
}

/// Runs a kernel; `buffers` in the order of its bindings.
pub fn launch<P: bytemuck::Pod>(
    backend: &dyn cytograd::backend::Backend,
    kernel: &'static cytograd::kernel::Kernel,
    params: &P,
    buffers: &[&cytograd::backend::Buffer],
) {
    let params = bytemuck::bytes_of(params);
    let call = cytograd::backend::Call { kernel, params, buffers, geometry: [1; 3] };
    backend.launch(&call).expect("launch");
}

/// Copies `src` to `dst` with threads that take equal parts: a candidate beside which kernels that
/// only move memory are judged.
pub fn copy(src: &[f32], dst: &mut [f32], threads: usize) {
    if threads == 1 {
        return dst.copy_from_slice(src);
    }
    let per = src.len().div_ceil(threads).max(1);
    std::thread::scope(|scope| {
        for (d, s) in dst.chunks_mut(per).zip(src.chunks(per)) {
            scope.spawn(move || d.copy_from_slice(s));
        }
    });
}

/// Reproducible values in -1..1.
pub fn values(n: usize, seed: u32) -> Vec<f32> {
    let mut s = seed.wrapping_mul(2_654_435_761) | 1;
    (0..n)
        .map(|_| {
            s ^= s << 13;
            s ^= s >> 17;
            s ^= s << 5;
            (s >> 8) as f32 / 8_388_608.0 - 1.0
        })
        .collect()
}
