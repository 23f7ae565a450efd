//! Dense linear algebra in binary64 for the analysis floor: symmetric eigenproblems, Cholesky.
//!
//! May use: `error`, `rng`, `cpu::dgemm`. Results are the same bits for any number of threads.
#![forbid(unsafe_code)]

pub mod cholesky;
pub mod eigen;
pub mod elementary;
pub mod krylov;

pub use cholesky::Cholesky;
pub use eigen::{Eigen, symmetric_eigen};
pub use elementary::{exp, ln};
pub use krylov::top_eigen;

/// The inner product, in eight lanes that are added pairwise at the end.
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    let n = a.len().min(b.len());
    let (a, b) = (&a[..n], &b[..n]);
    let mut lanes = [0.0; 8];
    let mut left = a.chunks_exact(8);
    let mut right = b.chunks_exact(8);
    for (x, y) in left.by_ref().zip(right.by_ref()) {
        for l in 0..8 {
            lanes[l] += x[l] * y[l];
        }
    }
    let tail: f64 = left.remainder().iter().zip(right.remainder()).map(|(x, y)| x * y).sum();
    ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7])) + tail
}

/// `y += a x`.
pub fn axpy(a: f64, x: &[f64], y: &mut [f64]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y += a * x;
    }
}

/// The Euclidean length.
pub fn norm(x: &[f64]) -> f64 {
    dot(x, x).sqrt()
}

/// Scales every row of `[n, d]` to length 1; rows of zeros stay.
pub fn normalise_rows(x: &mut [f64], d: usize) {
    if d == 0 {
        return;
    }
    for row in x.chunks_exact_mut(d) {
        let length = norm(row);
        if length > 0.0 {
            row.iter_mut().for_each(|v| *v /= length);
        }
    }
}
