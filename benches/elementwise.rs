//! An add of 16M floats through a launch against a copy of as many, and elementary functions through
//! a launch against a loop over the platform's scalar functions.

#[path = "measure.rs"]
mod measure;

use cytograd::cpu::Cpu;
use cytograd::kernel::Layout;
use cytograd::kernel::elementwise::*;
use std::hint::black_box;

fn main() {
    let quick = std::env::args().any(|a| a == "--test");
    let (n, rounds) = if quick { (1 << 16, 1) } else { (16 << 20, 15) };
    for threads in [1, 2] {
        add(n, threads, rounds);
    }
    functions(if quick { 1 << 12 } else { 1 << 20 }, rounds);
}

/// The add moves 12 bytes per element, the copy 8; judged by bytes per second.
fn add(n: usize, threads: usize, rounds: usize) {
    measure::title(&format!("elementwise, {n} floats, {threads} thread(s)"));
    let cpu = Cpu::new(threads);
    let (x, y) = (measure::values(n, 1), measure::values(n, 2));
    let buffers = [&x, &y, &x].map(|v| measure::upload(&cpu, v));
    let refs = buffers.each_ref();
    let row = Layout::contiguous(&[n], 0);
    let binary = BinaryParams { op: Binary::Add as u32, x: row, y: row };
    let unary = UnaryParams { op: Unary::MulScalar as u32, a: 3.0, b: 0.0, x: row };
    let mut copied = vec![0.0f32; n];
    let stats = measure::compare(
        rounds,
        &mut [
            ("copy", &mut || measure::copy(&x, black_box(&mut copied), threads)),
            ("multiply", &mut || measure::launch(&cpu, &UNARY, &unary, &[refs[0], refs[2]])),
            ("add", &mut || measure::launch(&cpu, &BINARY, &binary, &refs)),
        ],
    );
    let bytes = [8.0, 8.0, 12.0].map(|b| b * n as f64);
    let ceiling = bytes[0] / stats[0].median;
    for (i, name) in ["copy", "x * 3", "x + y"].into_iter().enumerate() {
        measure::rate(name, &stats[i], bytes[i], "GB/s", ceiling);
    }
    measure::verdict("bandwidth of add against copy", 1.5 * measure::ratio(&stats[0], &stats[2]), 0.8);
}

fn functions(n: usize, rounds: usize) {
    measure::title(&format!("functions of {n} values, one thread, against the platform's"));
    let cpu = Cpu::new(1);
    type Case = (&'static str, Unary, fn(f32) -> f32, f32, f32);
    let cases: [Case; 3] = [
        ("exp", Unary::Exp, f32::exp, -20.0, 20.0),
        ("ln", Unary::Ln, f32::ln, 1e-3, 1e3),
        ("lgamma", Unary::Lgamma, libm::lgammaf, 0.01, 50.0),
    ];
    for (name, op, theirs, low, high) in cases {
        let x: Vec<f32> = measure::values(n, 7).iter().map(|v| low + (high - low) * (0.5 * v + 0.5)).collect();
        let buffers = [&x, &x].map(|v| measure::upload(&cpu, v));
        let p = UnaryParams { op: op as u32, a: 0.0, b: 0.0, x: Layout::contiguous(&[n], 0) };
        let mut y = vec![0.0f32; n];
        let stats = measure::compare(
            rounds,
            &mut [
                ("ours", &mut || measure::launch(&cpu, &UNARY, &p, &buffers.each_ref())),
                ("platform", &mut || {
                    for (y, &x) in black_box(&mut y).iter_mut().zip(&x) {
                        *y = theirs(x);
                    }
                }),
            ],
        );
        measure::duration(name, &stats[0]);
        measure::duration("    platform", &stats[1]);
        measure::verdict("    speed against the platform", measure::ratio(&stats[1], &stats[0]), 1.0);
    }
}
