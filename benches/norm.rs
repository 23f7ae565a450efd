//! Normalisations through a launch: bytes moved per second (each pass over a matrix counted once)
//! beside the bandwidth of a copy of the same matrix.

#[path = "measure.rs"]
mod measure;

use cytograd::cpu::Cpu;
use cytograd::kernel::norm::*;
use std::hint::black_box;

fn main() {
    let quick = std::env::args().any(|a| a == "--test");
    let rounds = if quick { 1 } else { 11 };
    let cpu = Cpu::new(1);
    for (rows, features) in [(64, 256), (1024, 256), (4096, 2000)] {
        measure::title(&format!("norm {rows}x{features}, one thread"));
        let n = rows * features;
        let (r, f) = (rows as u32, features as u32);
        let (x, ones) = (measure::values(n, 1), vec![1.0f32; features.max(rows)]);
        let matrices = [&x, &x, &x].map(|v| measure::upload(&cpu, v));
        let rest = [(); 6].map(|_| measure::upload(&cpu, &ones));
        let ([x_, dy, out], [mean, var, w, b, dw, db]) = (matrices.each_ref(), rest.each_ref());
        let stats_of = BatchStatsParams { x_offset: 0, row_weights_offset: 0, weighted: 0, rows: r, features: f };
        let apply = BatchApplyParams {
            x_offset: 0,
            mean_offset: 0,
            var_offset: 0,
            w_offset: 0,
            b_offset: 0,
            affine: 1,
            rows: r,
            features: f,
            eps: 1e-3,
        };
        let grad = BatchGradParams {
            dy_offset: 0,
            x_offset: 0,
            mean_offset: 0,
            var_offset: 0,
            w_offset: 0,
            row_weights_offset: 0,
            affine: 1,
            weighted: 0,
            rows: r,
            features: f,
            eps: 1e-3,
        };
        let layer =
            LayerParams { x_offset: 0, w_offset: 0, b_offset: 0, dy_offset: 0, affine: 1, rows: r, n: f, eps: 1e-3 };
        let mut copied = vec![0.0f32; n];
        let stats = measure::compare(
            rounds,
            &mut [
                ("copy", &mut || measure::copy(&x, black_box(&mut copied), 1)),
                ("stats", &mut || measure::launch(&cpu, &BATCH_STATS, &stats_of, &[x_, x_, mean, var])),
                ("apply", &mut || measure::launch(&cpu, &BATCH_APPLY, &apply, &[x_, mean, var, w, b, out])),
                ("grad", &mut || measure::launch(&cpu, &BATCH_GRAD, &grad, &[dy, x_, mean, var, w, x_, out, dw, db])),
                ("layer", &mut || measure::launch(&cpu, &LAYER, &layer, &[x_, w, b, out])),
                ("layer grad", &mut || measure::launch(&cpu, &LAYER_GRAD, &layer, &[x_, w, dy, out, dw, db])),
            ],
        );
        let names = [
            ("copy", 2.0),
            ("batch statistics", 2.0),
            ("batch norm", 2.0),
            ("its gradient", 6.0),
            ("layer norm", 4.0),
            ("its gradient", 8.0),
        ];
        let bytes = 4.0 * n as f64;
        for ((name, passes), s) in names.into_iter().zip(&stats) {
            measure::rate(name, s, passes * bytes, "GB/s", 2.0 * bytes / stats[0].median);
        }
    }
}
