//! Row functions through a launch: exponentials per second beside a bare loop over `exp` on the same
//! values, on one thread.

#[path = "measure.rs"]
mod measure;

use cytograd::cpu::Cpu;
use cytograd::kernel::elementwise::{UNARY, Unary, UnaryParams};
use cytograd::kernel::softmax::*;
use cytograd::kernel::{Kernel, Layout};

fn main() {
    let quick = std::env::args().any(|a| a == "--test");
    let rounds = if quick { 1 } else { 11 };
    let cpu = Cpu::new(1);
    for (rows, n) in [(64, 10), (10_000, 10), (10_000, 14), (1000, 100), (1000, 2000)] {
        measure::title(&format!("softmax {rows}x{n}, one thread"));
        let (x, t) = (measure::values(rows * n, 1), measure::values(rows * n, 2));
        let buffers = [&x, &t, &x, &x].map(|v| measure::upload(&cpu, v));
        let [x, t, u, out] = buffers.each_ref();
        let row = SoftmaxParams { offset: 0, rows: rows as u32, n: n as u32 };
        let cross = CrossEntropyParams {
            logits_offset: 0,
            targets_offset: 0,
            upstream_offset: 0,
            rows: rows as u32,
            n: n as u32,
        };
        let exp = UnaryParams { op: Unary::Exp as u32, a: 0.0, b: 0.0, x: Layout::contiguous(&[rows * n], 0) };
        let of_rows = |kernel: &'static Kernel| measure::launch(&cpu, kernel, &row, &[x, out]);
        let stats = measure::compare(
            rounds,
            &mut [
                ("exp", &mut || measure::launch(&cpu, &UNARY, &exp, &[x, out])),
                ("softmax", &mut || of_rows(&SOFTMAX)),
                ("log-softmax", &mut || of_rows(&LOG)),
                ("log-sum-exp", &mut || of_rows(&LSE)),
                ("cross-entropy", &mut || measure::launch(&cpu, &CROSS_ENTROPY, &cross, &[x, t, out])),
                ("its gradient", &mut || measure::launch(&cpu, &CROSS_ENTROPY_GRAD, &cross, &[x, t, u, out])),
            ],
        );
        let work = (rows * n) as f64;
        let names = ["exp alone", "softmax", "log-softmax", "log-sum-exp", "cross-entropy", "its gradient"];
        for (name, s) in names.into_iter().zip(&stats) {
            measure::rate(name, s, work, "G/s", work / stats[0].median);
        }
    }
}
