//! Kernel sums over pairs without the matrix of pairs, against the same sums from the matrix.

#[path = "measure.rs"]
mod measure;

use cytograd::backend::{Backend, Buffer, Call};
use cytograd::cpu::Cpu;
use cytograd::kernel::Kernel;
use cytograd::kernel::mmd::*;

fn main() {
    let quick = std::env::args().any(|a| a == "--test");
    let rounds = if quick { 1 } else { 5 };
    let (n, d) = (if quick { 1000 } else { 8000 }, 32);
    let points = [measure::values(n * d, 1), measure::values(n * d, 2)];
    for threads in [1, 2] {
        let cpu = Cpu::new(threads);
        let peak = measure::fma_peak(threads);
        let [x, y] = [&points[0], &points[1]].map(|v| measure::upload(&cpu, v));
        let gamma = measure::upload(&cpu, &[1.0 / d as f32]);
        let one = measure::upload(&cpu, &[1.0]);
        let [out, grad] = [n, n * d].map(|n| cpu.alloc(4 * n).expect("memory"));
        let launch = |kernel: &'static Kernel, kind: Kind, flags: u32, buffers: &[&Buffer]| {
            let [n, d] = [n as u32, d as u32];
            let (kind, gammas) = (kind as u32, 1);
            let params = MmdParams { kind, m: n, n, d, p: 1, gammas, flags: UNIT | flags, ..MmdParams::default() };
            let params = bytemuck::bytes_of(&params);
            cpu.launch(&Call { kernel, params, buffers, geometry: [n, 1, 1] }).expect("launch");
        };
        let value = |a: &Buffer, b: &Buffer, flags| launch(&APPLY, Kind::Gaussian, flags, &[a, b, &gamma, &one, &out]);
        let both = |kind, a: &Buffer, b: &Buffer, flags| {
            launch(&APPLY_GRAD, kind, flags, &[a, b, &gamma, &one, &one, &out, &grad]);
        };
        let stats = measure::compare(
            rounds,
            &mut [
                ("one block of pairs", &mut || value(&x, &y, 0)),
                ("one block with gradient", &mut || both(Kind::Gaussian, &x, &y, 0)),
                ("one block with gradient, Laplacian", &mut || both(Kind::Laplacian, &x, &y, 0)),
                ("mmd, value", &mut || {
                    value(&x, &x, EXCLUDE_SELF);
                    value(&y, &y, EXCLUDE_SELF);
                    value(&x, &y, 0);
                }),
                ("mmd, value and both gradients", &mut || {
                    both(Kind::Gaussian, &x, &x, EXCLUDE_SELF);
                    both(Kind::Gaussian, &y, &y, EXCLUDE_SELF);
                    both(Kind::Gaussian, &x, &y, 0);
                    both(Kind::Gaussian, &y, &x, 0);
                }),
            ],
        );
        let title = format!("mmd, Gaussian, {n} + {n} points, {d} coordinates, {threads} thread(s)");
        measure::title(&format!("{title}; a subtraction and an fma per pair and coordinate, twice with a gradient"));
        let block = (n * n * d) as f64 * 3.0;
        let names = [
            "one block of pairs",
            "one block, gradient",
            "one block, gradient, Laplacian",
            "value",
            "value, both gradients",
        ];
        for (k, (name, blocks)) in names.iter().zip([1.0, 2.0, 2.0, 3.0, 8.0]).enumerate() {
            measure::rate(name, &stats[k], block * blocks, "GFLOP/s", peak);
        }
    }
}
