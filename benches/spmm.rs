//! `spmm` against the dense product of the same matrices, at 7 % density: forward, and the weight
//! gradient with the transposing of the sparse matrix counted in.

#[path = "measure.rs"]
mod measure;

use cytograd::backend::{Backend, Buffer, Call};
use cytograd::cpu::Cpu;
use cytograd::kernel::Kernel;
use cytograd::kernel::gemm::{Epilogue, GEMM, GemmParams, Operand};
use cytograd::kernel::spmm::*;

/// Cells, genes, units.
const SHAPES: [(usize, usize, usize, Option<f64>); 4] =
    [(256, 3000, 256, Some(5.0)), (64, 1000, 512, None), (128, 2000, 128, None), (1024, 4000, 256, None)];
const DENSITY: f64 = 0.07;

struct Matrix {
    indptr: Vec<u32>,
    indices: Vec<u32>,
    values: Vec<f32>,
    dense: Vec<f32>,
}

fn matrix(m: usize, k: usize) -> Matrix {
    let mut x = Matrix { indptr: vec![0], indices: Vec::new(), values: Vec::new(), dense: vec![0.0; m * k] };
    let draws = measure::values(m * k, 7);
    for i in 0..m {
        for j in 0..k {
            let u = f64::from(draws[i * k + j]) * 0.5 + 0.5;
            if u < DENSITY {
                x.indices.push(j as u32);
                x.values.push(u as f32 * 20.0 - 0.5);
                x.dense[i * k + j] = u as f32 * 20.0 - 0.5;
            }
        }
        x.indptr.push(x.indices.len() as u32);
    }
    x
}

fn words(cpu: &Cpu, words: &[u32]) -> Buffer {
    measure::upload(cpu, bytemuck::cast_slice(words))
}

fn launch<P: bytemuck::Pod>(cpu: &Cpu, kernel: &'static Kernel, params: &P, buffers: &[&Buffer]) {
    cpu.launch(&Call { kernel, params: bytemuck::bytes_of(params), buffers, geometry: [1; 3] }).expect("launch");
}

fn floats(cpu: &Cpu, buffer: &Buffer) -> Vec<f32> {
    let mut values = vec![0.0f32; buffer.bytes() / 4];
    cpu.download(buffer, bytemuck::cast_slice_mut(&mut values)).expect("download");
    values
}

fn main() {
    let quick = std::env::args().any(|a| a == "--test");
    let rounds = if quick { 1 } else { 21 };
    for threads in [1, 2] {
        let cpu = Cpu::new(threads);
        let peak = measure::fma_peak(threads);
        for (m, k, n, target) in SHAPES {
            measure::title(&format!("spmm {m}x{k}x{n}, {:.0} % stored, {threads} thread(s)", 100.0 * DENSITY));
            let x = matrix(m, k);
            let (w, g) = (measure::values(k * n, 1), measure::values(m * n, 2));
            let (indptr, indices) = (words(&cpu, &x.indptr), words(&cpu, &x.indices));
            let (values, dense) = (measure::upload(&cpu, &x.values), measure::upload(&cpu, &x.dense));
            let (w, g) = (measure::upload(&cpu, &w), measure::upload(&cpu, &g));
            let entries = x.indices.len();
            let alloc = |n: usize| cpu.alloc(4 * n).expect("memory");
            let (y, y_dense) = (alloc(m * n), alloc(m * n));
            let (dw, dw_dense) = (alloc(k * n), alloc(k * n));
            let (indptr_t, indices_t, values_t) = (alloc(k + 1), alloc(entries), alloc(entries));
            let p = SpmmParams {
                m: m as u32,
                n: n as u32,
                k: k as u32,
                indptr_offset: 0,
                b_row: n as i32,
                b_col: 1,
                b_offset: 0,
                epilogue: Epilogue::NONE,
            };
            let gradient = SpmmParams { m: p.k, k: p.m, ..p };
            let transpose = TransposeParams { rows: m as u32, cols: k as u32, indptr_offset: 0 };
            let product = GemmParams::plain(m, n, k);
            let dense_gradient = GemmParams { a: Operand::row_major(k).transposed(), ..GemmParams::plain(k, n, m) };
            let mut turn = || {
                launch(&cpu, &TRANSPOSE, &transpose, &[&indptr, &indices, &values, &indptr_t, &indices_t, &values_t])
            };
            turn();
            let transposed = [&indptr_t, &indices_t, &values_t, &g, &g, &dw];
            let stats = measure::compare(
                rounds,
                &mut [
                    ("forward", &mut || launch(&cpu, &SPMM, &p, &[&indptr, &indices, &values, &w, &w, &y])),
                    ("dense", &mut || launch(&cpu, &GEMM, &product, &[&dense, &w, &w, &w, &y_dense])),
                    ("gradient", &mut || launch(&cpu, &SPMM, &gradient, &transposed)),
                    ("transpose", &mut turn),
                    ("dense gradient", &mut || launch(&cpu, &GEMM, &dense_gradient, &[&dense, &g, &g, &g, &dw_dense])),
                ],
            );
            assert!(floats(&cpu, &y) == floats(&cpu, &y_dense), "forward products differ");
            assert!(floats(&cpu, &dw) == floats(&cpu, &dw_dense), "gradients differ");
            let (sparse_work, dense_work) = (2.0 * (entries * n) as f64, 2.0 * (m * n * k) as f64);
            measure::rate("forward", &stats[0], sparse_work, "GFLOP/s", peak);
            measure::rate("    dense", &stats[1], dense_work, "GFLOP/s", peak);
            measure::rate("weight gradient", &stats[2], sparse_work, "GFLOP/s", peak);
            measure::duration("    transposing", &stats[3]);
            measure::rate("    dense", &stats[4], dense_work, "GFLOP/s", peak);
            let with_transpose =
                1.0 / (1.0 / measure::ratio(&stats[4], &stats[2]) + measure::ratio(&stats[3], &stats[4]));
            let print = |what: &str, ratio: f64| match target {
                Some(target) => measure::verdict(what, ratio, target),
                None => println!("  {what:<34} {ratio:8.2} x"),
            };
            print("forward against dense", measure::ratio(&stats[1], &stats[0]));
            print("gradient against dense", measure::ratio(&stats[4], &stats[2]));
            print("gradient with transposing", with_transpose);
        }
    }
}
