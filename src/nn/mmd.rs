//! Maximum mean discrepancy between two sets of points (Gretton et al. 2012, JMLR 13:723), without
//! ever storing a kernel matrix.

use crate::error::{Error, Result};
use crate::tensor::Tensor;
use crate::tensor::op::{MmdKernel, Similarity};

/// `within(x) + within(y) - 2 mean Kxy`.
fn squared(kernel: &MmdKernel, x: &Tensor, y: &Tensor, within: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    let between = x.kernel_sum(kernel, y)?.div_count(x.size(0) * y.size(0))?;
    within(x)?.add(&within(y)?)?.sub(&between.mul_scalar(2.0)?)
}

/// Biased estimate: `mean Kxx + mean Kyy - 2 mean Kxy`; x `[n, d]`, y `[m, d]`, shape `[]`.
pub fn biased(kernel: &MmdKernel, x: &Tensor, y: &Tensor) -> Result<Tensor> {
    squared(kernel, x, y, |a| a.kernel_sum(kernel, a)?.div_count(a.size(0) * a.size(0)))
}

/// Unbiased estimate: the diagonals of Kxx and Kyy left out.
pub fn unbiased(kernel: &MmdKernel, x: &Tensor, y: &Tensor) -> Result<Tensor> {
    let off = kernel.without_diagonal();
    squared(kernel, x, y, |a| a.kernel_sum(&off, a)?.div_count(a.size(0) * a.size(0).saturating_sub(1)))
}

/// Biased estimate with `kernels` Gaussians whose bandwidths are `factor^i` times the mean squared
/// distance of the pooled points over `factor^(kernels/2)`. With `through_bandwidth` gradients also
/// flow through it.
pub fn adaptive(x: &Tensor, y: &Tensor, factor: f32, kernels: usize, through_bandwidth: bool) -> Result<Tensor> {
    let device = x.device();
    let pooled = Tensor::concat(&[x, y], 0)?;
    let n = pooled.size(0);
    let distance = MmdKernel::new(Similarity::Distance, &[], device)?;
    let mean = pooled.kernel_sum(&distance, &pooled)?.div_count(n * n.saturating_sub(1))?;
    let mean = if through_bandwidth { mean } else { mean.detach() };
    let scales: Vec<f32> = (0..kernels).map(|i| factor.powi((kernels / 2) as i32 - i as i32)).collect();
    let gamma = Tensor::from_slice(&scales, &[kernels], device)?.div(&mean)?;
    let kernel = MmdKernel { gamma, ..MmdKernel::new(Similarity::Gaussian, &[], device)? };
    biased(&kernel, x, y)
}

/// Distances between pooled points: median, its square, and the mean squared distance over pairs
/// i < j; in f64 on the host. x `[n, d]`, y `[m, d]`.
pub struct Distances {
    /// Median distance.
    pub median: f64,
    /// Median squared distance.
    pub median_squared: f64,
    /// Mean squared distance.
    pub mean_squared: f64,
}

/// The median heuristic for a bandwidth.
///
/// # Errors
/// `Error::Argument` for fewer than two points.
pub fn distances(x: &Tensor, y: &Tensor) -> Result<Distances> {
    let pooled = Tensor::concat(&[x, y], 0)?;
    let (n, d) = (pooled.size(0), pooled.size(1));
    let values = pooled.to_vec()?;
    let row = |i: usize| &values[i * d..(i + 1) * d];
    let mut squares = Vec::with_capacity(n * n.saturating_sub(1) / 2);
    for i in 0..n {
        for j in i + 1..n {
            squares.push(row(i).iter().zip(row(j)).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum::<f64>());
        }
    }
    if squares.is_empty() {
        return Err(Error::Argument { op: "distances", what: "needs at least two points".into() });
    }
    let mean_squared = squares.iter().sum::<f64>() / squares.len() as f64;
    squares.sort_by(f64::total_cmp);
    let (low, high) = (squares[(squares.len() - 1) / 2], squares[squares.len() / 2]);
    Ok(Distances { median: (low.sqrt() + high.sqrt()) / 2.0, median_squared: (low + high) / 2.0, mean_squared })
}
