//! Reductions through a launch: bytes read per second beside the bandwidth of a copy of the input
//! (which also counts its writes).

#[path = "measure.rs"]
mod measure;

use bytemuck::Pod;
use cytograd::cpu::Cpu;
use cytograd::kernel::Kernel;
use cytograd::kernel::reduce::*;
use std::hint::black_box;

fn main() {
    let quick = std::env::args().any(|a| a == "--test");
    let rounds = if quick { 1 } else { 11 };
    for threads in [1, 2] {
        measure::title(&format!("reduce, {threads} thread(s)"));
        let cpu = Cpu::new(threads);
        let n = if quick { 1 << 16 } else { 16 << 20 };
        let sum = Reduce::Sum as u32;
        run(&cpu, threads, rounds, "sum of 16M", &ALL, &AllParams { op: sum, offset: 0, n: n as u32 }, n, n);
        for (rows, n) in [(100_000, 10), (64, 50), (4096, 800), (16, 1 << 18)] {
            let p = LastParams { op: sum, offset: 0, rows: rows as u32, n: n as u32 };
            run(&cpu, threads, rounds, &format!("sum of rows {rows}x{n}"), &LAST, &p, rows * n, n);
        }
        for (rows, n) in [(100_000, 10), (64, 800), (4096, 2000)] {
            let p = AxisParams { op: sum, offset: 0, outer: 1, n: rows as u32, inner: n as u32 };
            run(&cpu, threads, rounds, &format!("sum of columns {rows}x{n}"), &AXIS, &p, rows * n, n);
        }
        for (rows, n) in [(100_000, 10), (4096, 2000)] {
            let p = LastParams { op: Reduce::Max as u32, offset: 0, rows: rows as u32, n: n as u32 };
            run(&cpu, threads, rounds, &format!("max of rows {rows}x{n}"), &LAST, &p, rows * n, n);
            let p = AxisParams { op: Arg::Max as u32, offset: 0, outer: rows as u32, n: n as u32, inner: 1 };
            run(&cpu, threads, rounds, &format!("argmax of rows {rows}x{n}"), &ARG, &p, rows * n, n);
        }
        let p = ScanParams { offset: 0, outer: 4096, n: 2000, inner: 1 };
        run(&cpu, threads, rounds, "cumulative sums 4096x2000", &SCAN, &p, 4096 * 2000, 2000);
    }
}

fn run<P: Pod>(
    cpu: &Cpu,
    threads: usize,
    rounds: usize,
    name: &str,
    kernel: &'static Kernel,
    p: &P,
    words: usize,
    n: usize,
) {
    let x = measure::values(words, n as u32);
    let buffers = [&x, &x].map(|v| measure::upload(cpu, v));
    let mut copied = vec![0.0f32; words];
    let part = if words < 1 << 18 { 1 } else { threads };
    let stats = measure::compare(
        rounds,
        &mut [
            ("kernel", &mut || measure::launch(cpu, kernel, p, &buffers.each_ref())),
            ("copy", &mut || measure::copy(&x, black_box(&mut copied), part)),
        ],
    );
    measure::rate(name, &stats[0], 4.0 * words as f64, "GB/s", 8.0 * words as f64 / stats[1].median);
}
