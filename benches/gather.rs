//! Moving words through a launch: bytes read and written per second beside the bandwidth of a copy.

#[path = "measure.rs"]
mod measure;

use bytemuck::Pod;
use cytograd::backend::{Backend, Buffer};
use cytograd::cpu::Cpu;
use cytograd::kernel::gather::*;
use cytograd::kernel::{Kernel, Layout};
use std::hint::black_box;

fn main() {
    let quick = std::env::args().any(|a| a == "--test");
    let rounds = if quick { 1 } else { 11 };
    let cpu = Cpu::new(1);
    measure::title("gather, one thread");
    for (rows, n) in [(800, 64), (4096, 2000)] {
        let dst = Layout::contiguous(&[rows, n], 0);
        let transposed = CopyParams { src: Layout::new(&[rows, n], &[1, rows as isize], 0), dst };
        run(&cpu, rounds, &format!("transpose to {rows}x{n}"), &COPY, &transposed, &[], rows * n, rows * n);
        let wide = Layout::new(&[rows, n / 2], &[n as isize, 1], n / 2);
        let concat = CopyParams { src: Layout::contiguous(&[rows, n / 2], 0), dst: wide };
        run(&cpu, rounds, &format!("half of a concat {rows}x{n}"), &COPY, &concat, &[], rows * n, rows * n / 2);
    }
    for (n_rows, width, m) in [(10_000, 50, 64), (10_000, 50, 10_000), (3000, 2000, 3000)] {
        let index: Vec<u32> = (0..m as u32).map(|i| i.wrapping_mul(7919) % n_rows as u32).collect();
        let p = RowsParams { x_offset: 0, index_offset: 0, n_rows: n_rows as u32, width: width as u32, m: m as u32 };
        let words = n_rows.max(m) * width;
        let what = format!("{m} rows of {n_rows}x{width}");
        run(&cpu, rounds, &format!("take {what}"), &ROWS, &p, &index, words, m * width);
        run(&cpu, rounds, &format!("scatter {what}"), &SCATTER_ROWS, &p, &index, words, m * width);
        run(&cpu, rounds, &format!("add {what}"), &ADD_ROWS, &p, &index, words, n_rows.max(m) * width);
    }
}

/// `moved` words are read and as many written.
fn run<P: Pod>(
    cpu: &Cpu,
    rounds: usize,
    name: &str,
    kernel: &'static Kernel,
    p: &P,
    index: &[u32],
    words: usize,
    moved: usize,
) {
    let x = measure::values(words, 1);
    let [from, to] = [&x, &x].map(|v| measure::upload(cpu, v));
    let places = cpu.alloc(4 * index.len()).expect("memory");
    cpu.upload(&places, bytemuck::cast_slice(index)).expect("upload");
    let buffers: Vec<&Buffer> = if index.is_empty() { vec![&from, &to] } else { vec![&from, &places, &to] };
    let mut copied = vec![0.0f32; moved];
    let stats = measure::compare(
        rounds,
        &mut [
            ("kernel", &mut || measure::launch(cpu, kernel, p, &buffers)),
            ("copy", &mut || measure::copy(&x[..moved], black_box(&mut copied), 1)),
        ],
    );
    let bytes = 8.0 * moved as f64;
    measure::rate(name, &stats[0], bytes, "GB/s", bytes / stats[1].median);
}
