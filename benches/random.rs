//! Random tensors: rate beside the memory's.

#[path = "measure.rs"]
mod measure;

use cytograd::backend::{Backend, Call};
use cytograd::cpu::Cpu;
use cytograd::kernel::random::*;

fn main() {
    let quick = std::env::args().any(|a| a == "--test");
    let n = 1 << 22;
    for threads in [1, 2] {
        let cpu = Cpu::new(threads);
        let counter = measure::upload(&cpu, &[0.0]);
        let out = cpu.alloc(4 * n).expect("memory");
        let params =
            RandomParams { seed: [1, 2], stream: 3, step: 0, part: 0, offset: 0, n: n as u32, a: 0.0, b: 1.0, c: 2.0 };
        let launch = |kernel| {
            let params = bytemuck::bytes_of(&params);
            cpu.launch(&Call { kernel, params, buffers: &[&counter, &out], geometry: [n as u32 / 4, 1, 1] })
                .expect("launch");
        };
        let stats = measure::compare(
            if quick { 1 } else { 15 },
            &mut [
                ("uniform", &mut || launch(&UNIFORM)),
                ("normal", &mut || launch(&NORMAL)),
                ("mask", &mut || launch(&MASK)),
            ],
        );
        measure::title(&format!("random, {n} elements, {threads} thread(s); ceiling: writing them"));
        let ceiling = measure::copy_bandwidth(64 << 20, threads) / 4.0;
        for (name, stats) in ["uniform", "normal", "mask"].iter().zip(&stats) {
            measure::rate(name, stats, n as f64, "G/s", ceiling);
        }
    }
}
