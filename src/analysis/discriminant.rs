//! Linear discriminant analysis, and the Mahalanobis distance to the nearest class mean: a strong
//! baseline for labels and for cells of unknown type (Lee et al. 2018, arXiv:1807.03888).
//!
//! May use: `error`, `cpu::dgemm`, `linalg`. All classes share one covariance S, pooled within the
//! classes and, on demand, shrunk towards its mean variance. With its Cholesky factor the cells are
//! whitened, so that all distances are Euclidean ones.
#![forbid(unsafe_code)]

use super::linalg::{Cholesky, axpy, exp, ln};
use crate::cpu::dgemm::{Mat, gemm};
use crate::error::{Error, Result};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Cells per task; sums over tasks are added in order.
const PANEL: usize = 512;

/// A fitted discriminant.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Discriminant {
    /// Dimensions d.
    pub n_dims: usize,
    /// Classes C.
    pub n_classes: usize,
    /// Class means `[C, d]`.
    pub means: Vec<f64>,
    /// Shares of the classes `[C]`; 0 for a class without training cells, which is never predicted.
    pub priors: Vec<f64>,
    /// Factor of the pooled covariance.
    pub factor: Cholesky,
    /// Class means, whitened.
    whitened: Vec<f64>,
}

impl Discriminant {
    /// Fits `x` `[n, d]` with `labels` `[n]` below `n_classes`.
    ///
    /// `S = sum over cells of (x - mean_y)(x - mean_y)' / (n - C)`, replaced by
    /// `(1 - shrinkage) S + shrinkage (tr S / d) I`. A covariance that is singular nevertheless gets the
    /// smallest of 1e-10, 1e-9, ... of its mean variance on the diagonal.
    ///
    /// # Errors
    /// `Error::Data` for no cells, labels beyond the classes, values that are not finite;
    /// `Error::Usage` for a shrinkage outside [0, 1].
    pub fn fit(x: &[f64], d: usize, labels: &[u32], n_classes: usize, shrinkage: f64) -> Result<Self> {
        Self::fit_noisy(x, d, labels, n_classes, shrinkage, 0.0)
    }

    /// As [`Discriminant::fit`], for cells that carry independent noise of this variance besides.
    ///
    /// # Errors
    /// As [`Discriminant::fit`].
    pub fn fit_noisy(
        x: &[f64],
        d: usize,
        labels: &[u32],
        n_classes: usize,
        shrinkage: f64,
        noise: f64,
    ) -> Result<Self> {
        let n = labels.len();
        let fine = n > 0 && d > 0 && x.len() == n * d && labels.iter().all(|&l| (l as usize) < n_classes);
        if !fine || !x.iter().all(|v| v.is_finite()) {
            return Err(Error::data(
                "discriminant",
                format!("{} values in {d} dimensions for {n} labels of {n_classes} classes", x.len()),
                "give finite features and one known label per cell",
            ));
        }
        if !(0.0..=1.0).contains(&shrinkage) {
            return Err(Error::usage(format!("shrinkage = {shrinkage}"), "give a value in [0, 1]"));
        }
        let mut counts = vec![0usize; n_classes];
        let mut means = vec![0.0; n_classes * d];
        for (row, &l) in x.chunks_exact(d).zip(labels) {
            counts[l as usize] += 1;
            axpy(1.0, row, &mut means[l as usize * d..][..d]);
        }
        for (mean, &count) in means.chunks_exact_mut(d).zip(&counts) {
            mean.iter_mut().for_each(|v| *v /= count.max(1) as f64);
        }
        let mut covariance = scatter(x, d, labels, &means);
        let present = counts.iter().filter(|&&c| c > 0).count();
        let freedom = n.saturating_sub(present).max(1) as f64;
        covariance.iter_mut().for_each(|v| *v /= freedom);
        let level = (0..d).map(|i| covariance[i * d + i]).sum::<f64>() / d as f64;
        covariance.iter_mut().for_each(|v| *v *= 1.0 - shrinkage);
        (0..d).for_each(|i| covariance[i * d + i] += shrinkage * level + noise);
        let factor = factorise(covariance, d, level + noise)?;
        let mut whitened = means.clone();
        whitened.chunks_exact_mut(d).for_each(|row| factor.forward(row));
        let priors = counts.iter().map(|&c| c as f64 / n as f64).collect();
        Ok(Discriminant { n_dims: d, n_classes, means, priors, factor, whitened })
    }

    /// W `[d, d]` with `W S W' = 1`: distances of `W x` are Mahalanobis ones.
    pub fn whitening(&self) -> Vec<f64> {
        let d = self.n_dims;
        let mut w = vec![0.0; d * d];
        for j in 0..d {
            let mut column = vec![0.0; d];
            column[j] = 1.0;
            self.factor.forward(&mut column);
            (0..d).for_each(|i| w[i * d + j] = column[i]);
        }
        w
    }

    /// Class means after whitening, `[C, d]`.
    pub fn whitened_means(&self) -> &[f64] {
        &self.whitened
    }

    /// `ln prior - mean mean / 2` of the whitened means `[C]`; -1e30 for a class without training
    /// cells (finite, so that it may enter products).
    pub fn offsets(&self) -> Vec<f64> {
        let half = |m: &[f64]| 0.5 * m.iter().map(|v| v * v).sum::<f64>();
        let means = self.whitened.chunks_exact(self.n_dims.max(1));
        means.zip(&self.priors).map(|(m, &p)| if p > 0.0 { ln(p) - half(m) } else { -1e30 }).collect()
    }

    /// Squared Mahalanobis distances `[n, C]` of cells `[n, d]` to the class means; infinite for a
    /// class without training cells.
    ///
    /// # Errors
    /// `Error::Shape` if the values do not form rows of d.
    pub fn distances(&self, x: &[f64]) -> Result<Vec<f64>> {
        let (d, c) = (self.n_dims, self.n_classes);
        if d == 0 || c == 0 || !x.len().is_multiple_of(d) || self.whitened.len() != c * d || self.factor.order() != d {
            return Err(Error::Shape {
                op: "discriminant",
                expected: format!("rows of {d} values"),
                found: format!("{} values", x.len()),
            });
        }
        let mut out = vec![0.0; x.len() / d * c];
        out.par_chunks_mut(PANEL * c).zip(x.par_chunks(PANEL * d)).for_each(|(out, x)| {
            let mut row = vec![0.0; d];
            for (out, x) in out.chunks_exact_mut(c).zip(x.chunks_exact(d)) {
                row.copy_from_slice(x);
                self.factor.forward(&mut row);
                for ((o, mean), &prior) in out.iter_mut().zip(self.whitened.chunks_exact(d)).zip(&self.priors) {
                    let far: f64 = row.iter().zip(mean).map(|(a, b)| (a - b) * (a - b)).sum();
                    *o = if prior > 0.0 { far } else { f64::INFINITY };
                }
            }
        });
        Ok(out)
    }

    /// `p(y|x)` `[n, C]`: softmax of `ln prior - distance / 2`.
    ///
    /// # Errors
    /// As [`Discriminant::distances`].
    pub fn predict_proba(&self, x: &[f64]) -> Result<Vec<f64>> {
        let mut p = self.distances(x)?;
        let offsets: Vec<f64> = self.priors.iter().map(|&v| ln(v)).collect();
        p.par_chunks_mut(self.n_classes).for_each(|row| {
            row.iter_mut().zip(&offsets).for_each(|(v, o)| *v = o - 0.5 * *v);
            let most = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            row.iter_mut().for_each(|v| *v = exp(*v - most));
            let sum: f64 = row.iter().sum();
            row.iter_mut().for_each(|v| *v /= sum);
        });
        Ok(p)
    }

    /// How familiar each cell is, `[n]`: minus the squared distance to the nearest class mean (larger
    /// is more like the reference).
    ///
    /// # Errors
    /// As [`Discriminant::distances`].
    pub fn score(&self, x: &[f64]) -> Result<Vec<f64>> {
        let distances = self.distances(x)?;
        Ok(distances.chunks_exact(self.n_classes).map(|r| -r.iter().copied().fold(f64::INFINITY, f64::min)).collect())
    }
}

/// `sum (x - mean_y)(x - mean_y)'`, `[d, d]`.
fn scatter(x: &[f64], d: usize, labels: &[u32], means: &[f64]) -> Vec<f64> {
    let parts: Vec<Vec<f64>> = x
        .par_chunks(PANEL * d)
        .zip(labels.par_chunks(PANEL))
        .map(|(x, labels)| {
            let mut centred = x.to_vec();
            for (row, &l) in centred.chunks_exact_mut(d).zip(labels) {
                axpy(-1.0, &means[l as usize * d..][..d], row);
            }
            let mut part = vec![0.0; d * d];
            let centred = Mat::new(&centred, labels.len(), d);
            gemm(1.0, centred.t(), centred, 0.0, &mut part, d);
            part
        })
        .collect();
    let mut sum = vec![0.0; d * d];
    parts.iter().for_each(|part| axpy(1.0, part, &mut sum));
    sum
}

/// The factor, with as little added to the diagonal as it takes.
fn factorise(mut covariance: Vec<f64>, d: usize, level: f64) -> Result<Cholesky> {
    let unit = if level > 0.0 { level } else { 1.0 };
    let mut shift = 1e-10;
    loop {
        match Cholesky::new(&covariance, d) {
            // A pivot that is rounding error would blow noise up: it counts as singular.
            Ok(factor) if factor.smallest_pivot() > 1e-12 * unit => return Ok(factor),
            Err(error) if shift > 1.0 => return Err(error),
            _ => {
                (0..d).for_each(|i| covariance[i * d + i] += shift * unit);
                shift *= 10.0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Rng, Stream, stream};

    fn noise(rng: &mut Rng) -> f64 {
        (0..12).map(|_| rng.uniform53()).sum::<f64>() - 6.0
    }

    /// Cells of three classes whose noise is correlated and much wider in dimension 1.
    fn cells(n: usize, centre: impl Fn(usize) -> f64, rng: &mut Rng) -> Vec<f64> {
        (0..n)
            .flat_map(|i| {
                let (a, b) = (noise(rng), noise(rng));
                [centre(i) + 0.3 * a, 5.0 * b + a]
            })
            .collect()
    }

    #[test]
    fn separable_classes_are_told_apart_and_unknown_cells_score_low() {
        let mut rng = Stream::new(31, stream::TEST).rng();
        let class = |i: usize| (i % 3) as f64 * 3.0;
        let x = cells(900, class, &mut rng);
        let labels: Vec<u32> = (0..900).map(|i| i % 3).collect();
        for shrinkage in [0.0, 0.0005] {
            // Class 3 has no cells.
            let fit = Discriminant::fit(&x, 2, &labels, 4, shrinkage).unwrap();
            let query = cells(300, class, &mut rng);
            let p = fit.predict_proba(&query).unwrap();
            let mut right = 0;
            for (i, row) in p.chunks_exact(4).enumerate() {
                assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-12 && row[3] == 0.0);
                right += usize::from((0..4).all(|c| c == i % 3 || row[c] < row[i % 3]));
            }
            assert!(right >= 297, "{right}");
            // An unknown type between two classes, well inside the wide noise of dimension 1.
            let strange = cells(300, |_| 1.5, &mut rng);
            let mut known = fit.score(&query).unwrap();
            known.sort_by(f64::total_cmp);
            let low = fit.score(&strange).unwrap().iter().filter(|&&s| s < known[15]).count();
            assert!(low > 270, "{low}");
            let text = serde_json::to_string(&fit).unwrap();
            let again: Discriminant = serde_json::from_str(&text).unwrap();
            assert_eq!(again.distances(&query).unwrap(), fit.distances(&query).unwrap());
        }
    }

    #[test]
    fn distances_match_the_inverse_covariance() {
        // Two classes of two cells: S = diag(1, 4) by hand.
        let s = 0.5f64.sqrt();
        let x = [s, 0.0, -s, 0.0, 10.0, 2.0 * s, 10.0, -2.0 * s];
        let labels = [0, 0, 1, 1];
        let fit = Discriminant::fit(&x, 2, &labels, 2, 0.0).unwrap();
        // Scatter diag(1, 4) over n - C = 2.
        let found = fit.distances(&[3.0, 2.0]).unwrap();
        assert!((found[0] - (9.0 / 0.5 + 4.0 / 2.0)).abs() < 1e-12, "{found:?}");
        assert!((found[1] - (49.0 / 0.5 + 4.0 / 2.0)).abs() < 1e-12, "{found:?}");
        assert!((fit.score(&[3.0, 2.0]).unwrap()[0] + 20.0).abs() < 1e-12);
    }

    #[test]
    fn singular_and_wrong_input() {
        let flat = Discriminant::fit(&[1.0, 1.0, 2.0, 2.0, 5.0, 5.0], 2, &[0, 0, 1], 2, 0.0).unwrap();
        assert!(flat.predict_proba(&[1.5, 1.5]).unwrap().iter().all(|v| v.is_finite()));
        let constant = Discriminant::fit(&[1.0; 4], 1, &[0, 0, 0, 0], 1, 0.0).unwrap();
        assert_eq!(constant.score(&[1.0]).unwrap(), [0.0]);
        assert!(Discriminant::fit(&[1.0], 1, &[2], 2, 0.0).is_err());
        assert!(Discriminant::fit(&[f64::NAN], 1, &[0], 2, 0.0).is_err());
        assert!(Discriminant::fit(&[1.0], 1, &[0], 2, 1.5).is_err());
        assert!(flat.distances(&[1.0]).is_err());
    }
}
