//! Ridge regression of class membership, with the predictions that each cell would have got from a fit
//! without it.
//!
//! May use: `error`, `cpu::dgemm`, `linalg`. One eigendecomposition serves every penalty, and the
//! leave-one-out predictions of a linear fit follow from its own: `(fit - h y) / (1 - h)` with the cell's
//! leverage h (Allen 1974, doi:10.1080/00401706.1974.10489157).
#![forbid(unsafe_code)]

use super::linalg::{axpy, symmetric_eigen};
use crate::cpu::dgemm::{Mat, par_gemm};
use crate::error::{Error, Result};

/// Penalties to choose from, in units of the features' total variance.
const PENALTIES: [f64; 7] = [0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0];

/// Linear scores of classes, fitted to one-hot labels.
#[derive(Clone, Debug)]
pub struct Ridge {
    /// `[C, d]`
    pub coefficients: Vec<f64>,
    /// `[C]`: `score = coefficients x + offsets`.
    pub offsets: Vec<f64>,
    /// The chosen penalty, in units of the features' total variance.
    pub penalty: f64,
    /// `[n, C]`: what the fit without a cell says of it.
    pub left_out: Vec<f64>,
}

impl Ridge {
    /// Fits `x` `[n, d]` with `labels` `[n]` below `n_classes`, with the penalty whose leave-one-out
    /// predictions have the least squared error.
    ///
    /// # Errors
    /// `Error::Data` for no cells, labels beyond the classes, values that are not finite.
    pub fn fit(x: &[f64], d: usize, labels: &[u32], n_classes: usize) -> Result<Ridge> {
        let n = labels.len();
        let fine = n > 0 && d > 0 && x.len() == n * d && labels.iter().all(|&l| (l as usize) < n_classes);
        if !fine || !x.iter().all(|v| v.is_finite()) {
            return Err(Error::data(
                "ridge regression",
                format!("{} values in {d} dimensions for {n} labels of {n_classes} classes", x.len()),
                "give finite features and one known label per cell",
            ));
        }
        let means = column_means(x, n, d);
        let centred: Vec<f64> = x.chunks_exact(d).flat_map(|row| row.iter().zip(&means).map(|(v, m)| v - m)).collect();
        let x = Mat::new(&centred, n, d);
        let mut gram = vec![0.0; d * d];
        par_gemm(1.0, x.t(), x, 0.0, &mut gram);
        let eigen = symmetric_eigen(&gram, d, d)?;
        let vectors = Mat::new(&eigen.vectors, d, d);
        // Everything else is in the eigenvectors' coordinates.
        let mut turned = vec![0.0; n * d];
        par_gemm(1.0, x, vectors.t(), 0.0, &mut turned);
        let shares: Vec<f64> =
            (0..n_classes as u32).map(|c| labels.iter().filter(|&&l| l == c).count() as f64 / n as f64).collect();
        let target = |i: usize, c: usize| f64::from(u8::from(labels[i] as usize == c)) - shares[c];
        let mut products = vec![0.0; n_classes * d];
        for (i, row) in turned.chunks_exact(d).enumerate() {
            for (c, product) in products.chunks_exact_mut(d).enumerate() {
                axpy(target(i, c), row, product);
            }
        }
        // Cells that are all alike have no variance; any penalty does then.
        let total = ((0..d).map(|j| gram[j * d + j]).sum::<f64>() / n as f64).max(1e-200);
        let mut best: Option<(f64, f64, Vec<f64>)> = None;
        for penalty in PENALTIES {
            // Rounding makes some of the vanishing eigenvalues negative.
            let inverse: Vec<f64> = eigen.values.iter().map(|e| 1.0 / (e.max(0.0) + penalty * total)).collect();
            let mut left_out = Vec::with_capacity(n * n_classes);
            let mut error = 0.0;
            for (i, row) in turned.chunks_exact(d).enumerate() {
                let weighted: Vec<f64> = row.iter().zip(&inverse).map(|(v, w)| v * w).collect();
                let leverage = 1.0 / n as f64 + dot(&weighted, row);
                for (c, product) in products.chunks_exact(d).enumerate() {
                    let own = target(i, c);
                    // A cell that alone decides its fit says nothing of itself: the classes' shares.
                    let rest = (1.0 - leverage).max(f64::EPSILON);
                    let score = (dot(&weighted, product) - leverage * own) / rest;
                    error += (score - own).powi(2);
                    left_out.push(score + shares[c]);
                }
            }
            if best.as_ref().is_none_or(|(least, ..)| error < *least) {
                best = Some((error, penalty, left_out));
            }
        }
        let (_, penalty, left_out) = best.unwrap_or_default();
        let mut turned = products;
        for product in turned.chunks_exact_mut(d) {
            product.iter_mut().zip(&eigen.values).for_each(|(p, e)| *p /= e.max(0.0) + penalty * total);
        }
        let mut coefficients = vec![0.0; n_classes * d];
        par_gemm(1.0, Mat::new(&turned, n_classes, d), vectors, 0.0, &mut coefficients);
        let offsets = coefficients.chunks_exact(d).zip(&shares).map(|(row, share)| share - dot(row, &means)).collect();
        Ok(Ridge { coefficients, offsets, penalty, left_out })
    }
}

fn column_means(x: &[f64], n: usize, d: usize) -> Vec<f64> {
    let mut means = vec![0.0; d];
    x.chunks_exact(d).for_each(|row| axpy(1.0, row, &mut means));
    means.iter_mut().for_each(|m| *m /= n as f64);
    means
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Stream, stream};

    /// Cells `[n, d]` whose class depends on their first value.
    fn cells(n: usize, d: usize) -> (Vec<f64>, Vec<u32>) {
        let mut rng = Stream::new(7, stream::TEST).rng();
        let x: Vec<f64> = (0..n * d).map(|_| rng.normal() * 2.0 + 1.0).collect();
        let y = x.chunks(d).map(|row| if row[0] > 2.0 { 2 } else { u32::from(row[0] > 0.5) }).collect();
        (x, y)
    }

    fn scores(fit: &Ridge, x: &[f64]) -> Vec<f64> {
        fit.coefficients.chunks(x.len()).zip(&fit.offsets).map(|(row, offset)| dot(row, x) + offset).collect()
    }

    #[test]
    fn left_out_predictions_are_those_of_fits_without_the_cell() {
        // More dimensions than cells, too: most eigenvalues vanish.
        for (n, d) in [(40, 5), (12, 30)] {
            let (x, y) = cells(n, d);
            let fit = Ridge::fit(&x, d, &y, 3).unwrap();
            for out in [0, 3, n - 1] {
                // The normal equations of the other cells, with the penalty and the mean as one more,
                // unpenalised coefficient.
                let keep: Vec<usize> = (0..n).filter(|&i| i != out).collect();
                let total = (0..d)
                    .map(|j| {
                        let column: Vec<f64> = (0..n).map(|i| x[i * d + j]).collect();
                        let mean = column.iter().sum::<f64>() / n as f64;
                        column.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n as f64
                    })
                    .sum::<f64>();
                let w = d + 1;
                let row = |i: usize| -> Vec<f64> { x[i * d..(i + 1) * d].iter().copied().chain([1.0]).collect() };
                let mut a = vec![vec![0.0; w + 3]; w];
                for &i in &keep {
                    let r = row(i);
                    for j in 0..w {
                        (0..w).for_each(|k| a[j][k] += r[j] * r[k]);
                        a[j][w + y[i] as usize] += r[j];
                    }
                }
                (0..d).for_each(|j| a[j][j] += fit.penalty * total);
                for j in 0..w {
                    let pivot = a[j].clone();
                    for (_, other) in a.iter_mut().enumerate().filter(|(k, _)| *k != j) {
                        let factor = other[j] / pivot[j];
                        other.iter_mut().zip(&pivot).for_each(|(o, p)| *o -= factor * p);
                    }
                }
                for c in 0..3 {
                    let expected: f64 = row(out).iter().enumerate().map(|(j, v)| v * a[j][w + c] / a[j][j]).sum();
                    let found = fit.left_out[out * 3 + c];
                    assert!((found - expected).abs() < 1e-9, "{n} x {d}, cell {out}: {found} and {expected}");
                }
            }
        }
    }

    #[test]
    fn scores_tell_classes_apart_and_sum_to_one() {
        let (x, y) = cells(300, 4);
        let fit = Ridge::fit(&x, 4, &y, 3).unwrap();
        let mean = |class: u32, of: usize| {
            let rows: Vec<&[f64]> = x.chunks(4).zip(&y).filter(|(_, l)| **l == class).map(|(row, _)| row).collect();
            rows.iter().map(|row| scores(&fit, row)[of]).sum::<f64>() / rows.len() as f64
        };
        assert!(mean(0, 0) > mean(2, 0) + 0.3 && mean(2, 2) > mean(0, 2) + 0.3);
        assert!((scores(&fit, &x[..4]).iter().sum::<f64>() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn what_cannot_be_fitted_is_said() {
        assert!(Ridge::fit(&[], 3, &[], 2).is_err());
        assert!(Ridge::fit(&[1.0, f64::NAN], 1, &[0, 1], 2).is_err());
        assert!(Ridge::fit(&[1.0, 2.0], 1, &[0, 2], 2).is_err());
    }

    #[test]
    fn a_single_cell_gets_its_own_class() {
        let fit = Ridge::fit(&[1.0, 2.0], 2, &[1], 2).unwrap();
        assert_eq!(scores(&fit, &[5.0, 5.0]), [0.0, 1.0]);
        assert!(fit.left_out.iter().all(|v| v.is_finite()));
    }
}
