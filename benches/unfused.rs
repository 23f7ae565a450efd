//! The fused likelihood and the fused kernel sums against the same formulas composed of unfused
//! tensor ops, value and gradient, in one run.

#[path = "measure.rs"]
mod measure;

use cytograd::Result;
use cytograd::device::Device;
use cytograd::nn::mmd;
use cytograd::rng::Stream;
use cytograd::tensor::op::{MmdKernel, Similarity, Zinb};
use cytograd::tensor::{Tensor, grad};

fn normals(n: usize, seed: u64) -> Vec<f32> {
    let draws = Stream::new(seed, 20);
    (0..n as u32).map(|i| draws.normal(i)).collect()
}

/// `sum ln ZINB` as it is commonly written, element by element (scvi-tools' formula, without its
/// epsilon inside the logarithms).
fn composed_zinb(x: &Tensor, m: &Tensor, r: &Tensor, h: &Tensor) -> Result<Tensor> {
    let (mu, theta) = (m.exp()?, r.exp()?);
    let log_sum = mu.add(&theta)?.ln()?;
    let ratio = theta.mul(&r.sub(&log_sum)?)?;
    let base = h.neg()?.softplus()?;
    let zero = h.neg()?.add(&ratio)?.softplus()?.sub(&base)?;
    let gammas = x.add(&theta)?.lgamma()?.sub(&theta.lgamma()?)?.sub(&x.add_scalar(1.0)?.lgamma()?)?;
    let count = h.neg()?.sub(&base)?.add(&ratio)?.add(&x.mul(&m.sub(&log_sum)?)?)?.add(&gammas)?;
    let any = x.gt(&Tensor::scalar(0.0, x.device())?)?;
    any.select(&count, &zero)?.sum_all()
}

fn zinb(rows: usize, genes: usize, threads: usize) -> Result<()> {
    let device = Device::cpu(threads);
    let n = rows * genes;
    let draws = Stream::new(3, 20);
    // 92 % zeros, as in counts of single cells.
    let x: Vec<f32> =
        (0..n as u32).map(|i| if draws.uniform(i) < 0.92 { 0.0 } else { (draws.word(i) % 7 + 1) as f32 }).collect();
    let x = Tensor::from_slice(&x, &[rows, genes], &device)?;
    let variable = |seed, shape: &[usize]| -> Result<Tensor> {
        Ok(Tensor::from_slice(&normals(shape.iter().product(), seed), shape, &device)?.variable())
    };
    let (m, r, h) = (variable(1, &[rows, genes])?, variable(2, &[genes])?, variable(3, &[rows, genes])?);
    let ones = Tensor::ones(&[rows], &device)?;
    let fused = || -> Result<Vec<Tensor>> {
        let y = x.zinb_sum(Zinb { inflated: true, segmented: false }, &[&m, &r, &h], &ones)?;
        grad(&[&y], &[&m, &r, &h], false)
    };
    let composed = || grad(&[&composed_zinb(&x, &m, &r, &h)?], &[&m, &r, &h], false);
    let stats = measure::compare(
        7,
        &mut [
            ("fused", &mut || drop(fused().expect("fused"))),
            ("composed", &mut || drop(composed().expect("composed"))),
        ],
    );
    println!("zinb {rows} x {genes}, value and gradient, {threads} thread(s): {:.2} ms", stats[0].median * 1e3);
    measure::verdict("    against composed ops", measure::ratio(&stats[1], &stats[0]), 8.0);
    Ok(())
}

/// The sum over all pairs and `gammas` of `exp(-g |a - b|²)`, with the matrix of pairs.
fn composed_sum(a: &Tensor, b: &Tensor, gammas: &[f32]) -> Result<Tensor> {
    let norms = |t: &Tensor| t.square()?.sum(&[1], true);
    let squares = norms(a)?.add(&norms(b)?.t()?)?.sub(&a.matmul(&b.t()?)?.mul_scalar(2.0)?)?;
    let mut total = squares.mul_scalar(-gammas[0])?.exp()?;
    for &g in &gammas[1..] {
        total = total.add(&squares.mul_scalar(-g)?.exp()?)?;
    }
    total.sum_all()
}

fn discrepancy(points: usize, d: usize, scales: &[f32], threads: usize) -> Result<()> {
    let device = Device::cpu(threads);
    let set = |seed| -> Result<Tensor> {
        Ok(Tensor::from_slice(&normals(points * d, seed), &[points, d], &device)?.variable())
    };
    let (x, y) = (set(1)?, set(2)?);
    let gammas: Vec<f32> = scales.iter().map(|s| 1.0 / (2.0 * d as f32 * s)).collect();
    let kernel = MmdKernel::new(Similarity::Gaussian, &gammas, &device)?;
    let fused = || grad(&[&mmd::biased(&kernel, &x, &y)?], &[&x, &y], false);
    let composed = || -> Result<Vec<Tensor>> {
        let within = composed_sum(&x, &x, &gammas)?.add(&composed_sum(&y, &y, &gammas)?)?;
        let all = within.sub(&composed_sum(&x, &y, &gammas)?.mul_scalar(2.0)?)?;
        grad(&[&all], &[&x, &y], false)
    };
    let stats = measure::compare(
        3,
        &mut [
            ("fused", &mut || drop(fused().expect("fused"))),
            ("composed", &mut || drop(composed().expect("composed"))),
        ],
    );
    println!(
        "mmd, {} Gaussian(s), {points} + {points} points, d = {d}, value and gradient, {threads} thread(s): {:.2} s",
        scales.len(),
        stats[0].median
    );
    if scales.len() == 1 && threads == 1 {
        println!("    PyTorch, one core, for orientation: 4.1 s");
    }
    // Two sets with themselves, half their pairs each, and the pairs between them; for each pair a
    // product of points and a gradient for either side.
    let operations = 2.0 * 3.0 * (2 * points * points * d) as f64;
    measure::rate("    products of coordinates alone", &stats[0], operations, "GFLOP/s", measure::fma_peak(threads));
    measure::verdict("    against composed ops", measure::ratio(&stats[1], &stats[0]), 10.0);
    Ok(())
}

fn main() -> Result<()> {
    measure::title("fused against composed");
    for threads in [1, 2] {
        zinb(128, 2000, threads)?;
        zinb(1024, 4000, threads)?;
        discrepancy(8000, 32, &[1.0], threads)?;
        // The mixture of five scales that ACSleuth takes.
        discrepancy(8000, 32, &[0.25, 0.5, 1.0, 2.0, 4.0], threads)?;
    }
    Ok(())
}
