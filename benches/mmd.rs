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
        let centre = measure::upload(&cpu, &vec![0.0; d]);
        let [out, grad, out_y, grad_y] = [n, n * d, n, n * d].map(|n| cpu.alloc(4 * n).expect("memory"));
        let launch = |kernel: &'static Kernel, kind: Kind, flags: u32, buffers: &[&Buffer]| {
            let [n, d] = [n as u32, d as u32];
            let (kind, gammas) = (kind as u32, 1);
            let params = MmdParams { kind, m: n, n, d, p: 1, gammas, flags: UNIT | flags, ..MmdParams::default() };
            let params = bytemuck::bytes_of(&params);
            cpu.launch(&Call { kernel, params, buffers, geometry: [n, 1, 1] }).expect("launch");
        };
        let value = |a: &Buffer, b: &Buffer, flags| {
            launch(&APPLY, Kind::Gaussian, flags, &[a, b, &gamma, &centre, &one, &out]);
        };
        let one_side = |kind, a: &Buffer, b: &Buffer| {
            launch(&APPLY_GRAD, kind, 0, &[a, b, &gamma, &centre, &one, &one, &out, &grad]);
        };
        let both = |kind, a: &Buffer, b: &Buffer| {
            let buffers = [a, b, &gamma, &centre, &one, &one, &out, &grad, &out_y, &grad_y];
            launch(&APPLY_BOTH, kind, 0, &buffers);
        };
        let itself = |a: &Buffer| {
            launch(&APPLY_GRAD, Kind::Gaussian, EXCLUDE_SELF, &[a, a, &gamma, &centre, &one, &one, &out, &grad]);
        };
        let stats = measure::compare(
            rounds,
            &mut [
                ("", &mut || value(&x, &y, 0)),
                ("", &mut || one_side(Kind::Gaussian, &x, &y)),
                ("", &mut || both(Kind::Gaussian, &x, &y)),
                ("", &mut || itself(&x)),
                ("", &mut || one_side(Kind::Laplacian, &x, &y)),
                ("", &mut || {
                    value(&x, &x, EXCLUDE_SELF);
                    value(&y, &y, EXCLUDE_SELF);
                    value(&x, &y, 0);
                }),
                ("", &mut || {
                    itself(&x);
                    itself(&y);
                    both(Kind::Gaussian, &x, &y);
                }),
            ],
        );
        // Fused multiply-adds per pair and coordinate: one for the product of the points, one for the
        // gradient of either side; a set with itself has half the pairs. Differences take a subtraction
        // more each.
        let title = format!("mmd, Gaussian, {n} + {n} points, {d} coordinates, {threads} thread(s)");
        measure::title(&format!("{title}; 2 operations per product of coordinates, 3 where differences are taken"));
        let block = (n * n * d) as f64;
        let names = [
            ("x with y, value", 2.0),
            ("x with y, gradient of x", 4.0),
            ("x with y, both gradients", 6.0),
            ("x with itself, gradient", 3.0),
            ("x with y, gradient of x, Laplacian", 6.0),
            ("mmd, value", 2.0 * 2.0),
            ("mmd, both gradients", 2.0 * 3.0 + 6.0),
        ];
        for ((name, operations), stats) in names.iter().zip(&stats) {
            measure::rate(name, stats, block * operations, "GFLOP/s", peak);
        }
    }
}
