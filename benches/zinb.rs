//! The likelihood of counts with its gradients in one pass: rate, threads, against separate passes.

#[path = "measure.rs"]
mod measure;

use cytograd::backend::{Backend, Buffer, Call};
use cytograd::cpu::Cpu;
use cytograd::kernel::Kernel;
use cytograd::kernel::elementwise::{UNARY, Unary, UnaryParams};
use cytograd::kernel::layout::Layout;
use cytograd::kernel::zinb::*;

/// 128 cells of 2,000 genes, 92 % zeros, with eight mixture components each: a training step.
const CELLS: usize = 128;
const GENES: usize = 2000;
const REPEAT: usize = 8;

fn main() {
    let quick = std::env::args().any(|a| a == "--test");
    let rounds = if quick { 1 } else { 9 };
    let rows = CELLS * REPEAT;
    let entries = rows * GENES;
    let uniform = |n: usize, seed: u32, low: f32, high: f32| -> Vec<f32> {
        measure::values(n, seed).iter().map(|v| low + (high - low) * (v + 1.0) / 2.0).collect()
    };
    let x: Vec<f32> = uniform(CELLS * GENES, 1, 0.0, 1.0)
        .iter()
        .map(|&u| if u > 0.92 { ((u - 0.92) / 0.08).powi(6).mul_add(60.0, 1.0).floor() } else { 0.0 })
        .collect();
    let (m, r, h) = (uniform(entries, 2, -6.0, 2.0), uniform(GENES, 3, -3.0, 3.0), uniform(entries, 4, -4.0, 2.0));
    for threads in [1, 2] {
        let cpu = Cpu::new(threads);
        let up = |v: &[f32]| measure::upload(&cpu, v);
        let zeros = |n: usize| cpu.alloc(4 * n).expect("memory");
        let (x, m, r, h, weight) = (up(&x), up(&m), up(&r), up(&h), up(&vec![1.0; rows]));
        let (segment, ll, dm, dr, dh) = (zeros(CELLS), zeros(rows), zeros(entries), zeros(entries), zeros(entries));
        let params = |flags| ZinbParams {
            rows: rows as u32,
            genes: GENES as u32,
            segments: 1,
            repeat: REPEAT as u32,
            flags: flags | ONE_SEGMENT,
            ..ZinbParams::default()
        };
        let launch = |kernel: &'static Kernel, params: &[u8], buffers: &[&Buffer]| {
            cpu.launch(&Call { kernel, params, buffers, geometry: [rows as u32, 1, 1] }).expect("launch");
        };
        let gradients = [&x, &m, &r, &segment, &h, &weight, &ll, &dm, &dr, &dh];
        let mut both = || launch(&VALUE_GRAD, bytemuck::bytes_of(&params(0)), &gradients);
        let mut sums = || launch(&VALUE_GRAD, bytemuck::bytes_of(&params(R_BLOCKS)), &gradients);
        let mut plain = || launch(&VALUE_GRAD, bytemuck::bytes_of(&params(NO_INFLATION)), &gradients);
        let mut value = || {
            launch(
                &VALUE,
                bytemuck::bytes_of(&params(0)),
                &gradients[..5].iter().copied().chain([&ll]).collect::<Vec<_>>(),
            )
        };
        // One elementwise pass; a composition needs more than twenty of them.
        let pass = UnaryParams { op: Unary::Softplus as u32, a: 0.0, b: 0.0, x: Layout::contiguous(&[entries], 0) };
        let mut pass = || launch(&UNARY, bytemuck::bytes_of(&pass), &[&m, &dm]);
        let stats = measure::compare(
            rounds,
            &mut [
                ("zinb with gradients", &mut both),
                ("dispersion summed in blocks", &mut sums),
                ("negative binomial alone", &mut plain),
                ("value only", &mut value),
                ("one softplus pass", &mut pass),
            ],
        );
        measure::title(&format!(
            "zinb, {rows} rows of {GENES} genes, 92 % zeros, {threads} thread(s); entries/s, ceiling: copying 24 bytes per entry"
        ));
        let ceiling = measure::copy_bandwidth(64 << 20, threads) / 24.0;
        let names = [
            "with gradients",
            "dispersion summed in blocks",
            "negative binomial alone",
            "value only",
            "one softplus pass",
        ];
        for (name, stats) in names.iter().zip(&stats) {
            measure::rate(name, stats, entries as f64, "G/s", ceiling);
        }
    }
}
