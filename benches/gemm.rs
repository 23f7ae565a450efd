//! `gemm` through a launch against bare `matrixmultiply` calls, beside the rate of a register-only
//! fma loop. Bare with two threads: one call per half of the rows.

#[path = "measure.rs"]
mod measure;

use cytograd::backend::{Backend, Buffer, Call};
use cytograd::cpu::Cpu;
use cytograd::kernel::gemm::*;

/// (name, m, k, n, A stored transposed, B stored transposed, target)
type Case = (&'static str, usize, usize, usize, bool, bool, Option<f64>);

fn cases() -> Vec<Case> {
    vec![
        ("512x512x512", 512, 512, 512, false, false, Some(0.95)),
        ("64x800x800", 64, 800, 800, false, false, Some(0.95)),
        ("256x2000x256", 256, 2000, 256, false, false, Some(0.95)),
        ("64x50x800, B stored [n,k]", 64, 50, 800, false, true, None),
        ("64x800x800, B stored [n,k]", 64, 800, 800, false, true, None),
        ("64x800x200, B stored [n,k]", 64, 800, 200, false, true, None),
        ("64x200x200, B stored [n,k]", 64, 200, 200, false, true, None),
        ("64x200x10, B stored [n,k]", 64, 200, 10, false, true, None),
        ("64x10x200", 64, 10, 200, false, false, None),
        ("64x200x800", 64, 200, 800, false, false, None),
        ("64x800x50", 64, 800, 50, false, false, None),
        ("800x64x800, A stored [k,m]", 800, 64, 800, true, false, None),
        ("64x1024x1024, B stored [n,k]", 64, 1024, 1024, false, true, None),
        ("2048x2048x2048", 2048, 2048, 2048, false, false, None),
    ]
}

fn main() {
    let quick = std::env::args().any(|a| a == "--test");
    let filter = std::env::args().skip(1).find(|a| !a.starts_with('-')).unwrap_or_default();
    for threads in [1, 2] {
        let peak = measure::fma_peak(threads);
        let cpu = Cpu::new(threads);
        measure::title(&format!("gemm m x k x n, {threads} thread(s)"));
        for case in cases().into_iter().filter(|c| c.0.contains(&filter)) {
            run(&case, &cpu, threads, peak, quick);
        }
    }
}

fn run(case: &Case, cpu: &Cpu, threads: usize, peak: f64, quick: bool) {
    let &(name, m, k, n, a_transposed, b_transposed, target) = case;
    let (a, b) = (measure::values(m * k, 1), measure::values(k * n, 2));
    let mut c = vec![0.0f32; m * n];
    let mut p = GemmParams::plain(m, n, k);
    if a_transposed {
        p.a = Operand::row_major(m).transposed();
    }
    if b_transposed {
        p.b = Operand::row_major(k).transposed();
    }
    let buffers: Vec<Buffer> = [&a, &b, &a, &a, &c].iter().map(|v| measure::upload(cpu, v)).collect();
    let refs: Vec<&Buffer> = buffers.iter().collect();
    let call = Call { kernel: &GEMM, params: bytemuck::bytes_of(&p), buffers: &refs, geometry: [1; 3] };
    let mut ours = || cpu.launch(&call).expect("launch");
    let out = c.as_mut_ptr() as usize;
    let mut bare = || {
        measure::parallel(threads, |part| {
            let (first, last) = (part * m / threads, (part + 1) * m / threads);
            // SAFETY: the sizes are those of the vectors; the parts are disjoint rows.
            unsafe {
                matrixmultiply::sgemm(
                    last - first,
                    k,
                    n,
                    1.0,
                    a.as_ptr().offset(first as isize * p.a.row as isize),
                    p.a.row as isize,
                    p.a.col as isize,
                    b.as_ptr(),
                    p.b.row as isize,
                    p.b.col as isize,
                    0.0,
                    (out as *mut f32).add(first * n),
                    n as isize,
                    1,
                );
            }
        })
    };
    let rounds = if quick { 1 } else { 15 };
    let stats = measure::compare(rounds, &mut [("ours", &mut ours), ("bare", &mut bare)]);
    let mut found = vec![0.0f32; m * n];
    cpu.download(&buffers[4], bytemuck::cast_slice_mut(&mut found)).expect("download");
    assert!(found == c, "{name}: the two products differ");
    let work = 2.0 * (m * n * k) as f64;
    measure::rate(name, &stats[0], work, "GFLOP/s", peak);
    measure::rate("    bare matrixmultiply", &stats[1], work, "GFLOP/s", peak);
    let ratio = measure::ratio(&stats[1], &stats[0]);
    match target {
        Some(target) => measure::verdict("    speed against bare", ratio, target),
        None => println!("      {:<30} {ratio:8.2} x", "speed against bare"),
    }
}
