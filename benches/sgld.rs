//! The Langevin step in one pass, against noise and update apart.

#[path = "measure.rs"]
mod measure;

use cytograd::backend::{Backend, Buffer, Call};
use cytograd::cpu::Cpu;
use cytograd::kernel::Kernel;
use cytograd::kernel::elementwise::{BINARY, Binary, BinaryParams, UNARY, Unary, UnaryParams};
use cytograd::kernel::layout::Layout;
use cytograd::kernel::random::{NORMAL, RandomParams};
use cytograd::kernel::sgld::*;

fn main() {
    let quick = std::env::args().any(|a| a == "--test");
    for (threads, n) in [(1, 64 * 2000), (2, 64 * 2000), (1, 1 << 22), (2, 1 << 22)] {
        let cpu = Cpu::new(threads);
        let (g, x) = (measure::values(n, 1), measure::values(n, 2));
        let [g, x, counter] = [&g[..], &x, &[0.0]].map(|v| measure::upload(&cpu, v));
        let [a, b, c] = [0; 3].map(|_| cpu.alloc(4 * n).expect("memory"));
        let launch = |kernel: &'static Kernel, params: &[u8], buffers: &[&Buffer]| {
            cpu.launch(&Call { kernel, params, buffers, geometry: [n as u32 / 4, 1, 1] }).expect("launch");
        };
        let params = SgldParams {
            seed: [1, 2],
            stream: 6,
            step: 0,
            part: 0,
            n: n as u32,
            g_offset: 0,
            x_offset: 0,
            flags: 0,
            alpha: 0.001,
            sigma: 0.01,
            g_max: 0.0,
            low: 0.0,
            high: 0.0,
        };
        let mut fused = || launch(&STEP, bytemuck::bytes_of(&params), &[&g, &counter, &x]);
        let row = Layout::contiguous(&[n], 0);
        let mut apart = || {
            let noise = RandomParams {
                seed: [1, 2],
                stream: 6,
                step: 0,
                part: 0,
                offset: 0,
                n: n as u32,
                a: 0.0,
                b: 0.01,
                c: 0.0,
            };
            let scale = UnaryParams { op: Unary::MulScalar as u32, a: 0.001, b: 0.0, x: row };
            let add = BinaryParams { op: Binary::Add as u32, x: row, y: row };
            launch(&NORMAL, bytemuck::bytes_of(&noise), &[&counter, &a]);
            launch(&UNARY, bytemuck::bytes_of(&scale), &[&g, &b]);
            launch(&BINARY, bytemuck::bytes_of(&add), &[&x, &b, &c]);
            launch(&BINARY, bytemuck::bytes_of(&add), &[&c, &a, &b]);
        };
        let stats = measure::compare(if quick { 1 } else { 15 }, &mut [("fused", &mut fused), ("apart", &mut apart)]);
        measure::title(&format!("sgld step, {n} elements, {threads} thread(s); ceiling: moving 12 bytes each"));
        let ceiling = measure::copy_bandwidth(64 << 20, threads) / 12.0;
        measure::rate("one pass", &stats[0], n as f64, "G/s", ceiling);
        measure::rate("noise, scale, add, add", &stats[1], n as f64, "G/s", ceiling);
        measure::verdict("one pass against four", measure::ratio(&stats[1], &stats[0]), 1.0);
    }
}
