//! Optimiser steps over all parameters in one launch: rate beside the memory's.

#[path = "measure.rs"]
mod measure;

use cytograd::backend::{Backend, Buffer, Call};
use cytograd::cpu::Cpu;
use cytograd::kernel::Kernel;
use cytograd::kernel::optim::*;

fn main() {
    let quick = std::env::args().any(|a| a == "--test");
    let kernels: [(&'static Kernel, usize); 4] = [(&SGD, 12), (&MOMENTUM, 20), (&ADAM, 28), (&ADADELTA, 28)];
    for (threads, n) in [(1, 1 << 16), (1, 1 << 22), (2, 1 << 22)] {
        let cpu = Cpu::new(threads);
        measure::title(&format!("optim, {n} parameters, {threads} thread(s); ceiling: moving the bytes in and out"));
        let bandwidth = measure::copy_bandwidth(64 << 20, threads);
        for (kernel, bytes) in kernels {
            let params = OptimParams {
                n: n as u32,
                beta1: 0.9,
                rest1: 0.1,
                beta2: 0.999,
                rest2: 0.001,
                eps: 1e-8,
                decay: 0.01,
                ..OptimParams::default()
            };
            let step = measure::upload(&cpu, &[1e-3, 1e-3, 0.0, 1.0, 1e-8]);
            let g = measure::upload(&cpu, &measure::values(n, 1));
            let state: Vec<Buffer> = (2..kernel.bindings.len()).map(|_| measure::upload(&cpu, &vec![0.5; n])).collect();
            let buffers: Vec<&Buffer> = [&g, &step].into_iter().chain(&state).collect();
            let params = bytemuck::bytes_of(&params);
            let mut run = || {
                cpu.launch(&Call { kernel, params, buffers: &buffers, geometry: [n as u32, 1, 1] }).expect("launch");
            };
            let stats = measure::compare(if quick { 1 } else { 15 }, &mut [(kernel.name, &mut run)]);
            measure::rate(kernel.name, &stats[0], n as f64, "G/s", bandwidth / bytes as f64);
        }
    }
}
