//! Linear discriminant analysis on corrected components: a Gaussian per class, one covariance.
//!
//! Its log p(x) is that of the mixture. The Mahalanobis distance to the nearest mean, which finds cells
//! of unseen types (Lee et al. 2018, arXiv:1807.03888), is a score that every run has.

use super::{Cells, Classifier, PREFIX, Prediction, get, put, require_rows, softmax_rows, stored};
use crate::analysis::discriminant::Discriminant;
use crate::cpu::dgemm::{Mat, par_gemm};
use crate::error::Result;
use crate::models::run::State;
use rayon::prelude::*;

/// The weight of a class without cells is below ([`Discriminant::offsets`]).
const ABSENT: f64 = -1e29;

/// A Gaussian per class, in coordinates `u = W x - w` in which the common covariance is 1.
pub struct Lda {
    width: usize,
    classes: usize,
    /// W `[width, width]`.
    whiten: Vec<f64>,
    /// w `[width]`.
    offset: Vec<f64>,
    /// Class means m there, `[classes, width]`.
    means: Vec<f64>,
    /// `ln prior - m m / 2`.
    weights: Vec<f64>,
}

impl Lda {
    /// Fits means, covariance (shrunk so far towards its mean variance) and class shares.
    ///
    /// # Errors
    /// As [`Discriminant::fit`].
    pub fn fit(cells: &Cells, shrinkage: f64) -> Result<Lda> {
        let (d, n) = (cells.width, cells.len());
        let centre: Vec<f64> = (0..d).map(|j| cells.x.iter().skip(j).step_by(d).sum::<f64>() / n as f64).collect();
        let x: Vec<f64> = cells.x.chunks(d).flat_map(|row| row.iter().zip(&centre).map(|(v, c)| v - c)).collect();
        let fit = Discriminant::fit(&x, d, &cells.y, cells.classes, shrinkage)?;
        let whiten = stored(&fit.whitening());
        let offset: Vec<f64> =
            whiten.chunks(d).map(|row| row.iter().zip(&centre).map(|(w, c)| w * c).sum::<f64>()).collect();
        Ok(Lda {
            width: d,
            classes: cells.classes,
            offset: stored(&offset),
            means: stored(fit.whitened_means()),
            weights: stored(&fit.offsets()),
            whiten,
        })
    }

    /// Reads what [`Lda::save_as`] wrote.
    ///
    /// # Errors
    /// `Error::Argument` naming what is missing or has another shape.
    pub fn load_from(state: &State, prefix: &str, width: usize, classes: usize) -> Result<Lda> {
        let get = |name: &str, shape: &[usize]| get(state, &format!("{prefix}{name}"), shape);
        Ok(Lda {
            width,
            classes,
            whiten: get("whiten", &[width, width])?,
            offset: get("offset", &[width])?,
            means: get("means", &[classes, width])?,
            weights: get("weights", &[classes])?,
        })
    }

    /// Adds it to what a model file holds, under names with this prefix.
    pub fn save_as(&self, state: &mut State, prefix: &str) {
        let (d, c) = (self.width, self.classes);
        let mut put =
            |name: &str, shape: &[usize], values: &[f64]| put(state, &format!("{prefix}{name}"), shape, values);
        put("whiten", &[d, d], &self.whiten);
        put("offset", &[d], &self.offset);
        put("means", &[c, d], &self.means);
        put("weights", &[c], &self.weights);
    }

    /// Minus the squared Mahalanobis distance of each cell to the nearest class mean.
    ///
    /// # Errors
    /// `Error::Shape` for another width.
    pub fn nearness(&self, x: &[f64]) -> Result<Vec<f64>> {
        let u = self.whitened(x)?;
        let known: Vec<&[f64]> = self
            .means
            .chunks_exact(self.width)
            .zip(&self.weights)
            .filter(|(_, w)| **w > ABSENT)
            .map(|(m, _)| m)
            .collect();
        let apart = |u: &[f64], m: &[f64]| u.iter().zip(m).map(|(a, b)| (a - b) * (a - b)).sum::<f64>();
        Ok(u.par_chunks_exact(self.width)
            .map(|u| -known.iter().map(|m| apart(u, m)).fold(f64::INFINITY, f64::min))
            .collect())
    }

    /// `W x - w`.
    fn whitened(&self, x: &[f64]) -> Result<Vec<f64>> {
        let d = self.width;
        require_rows(x, d)?;
        let n = x.len() / d;
        let mut u: Vec<f64> = (0..n).flat_map(|_| self.offset.iter().map(|v| -v)).collect();
        par_gemm(1.0, Mat::new(x, n, d), Mat::new(&self.whiten, d, d).t(), 1.0, &mut u);
        Ok(u)
    }
}

impl Classifier for Lda {
    fn predict(&self, x: &[f64]) -> Result<Prediction> {
        let (d, c) = (self.width, self.classes);
        let u = self.whitened(x)?;
        let n = u.len() / d;
        let mut z: Vec<f64> = (0..n).flat_map(|_| self.weights.iter().copied()).collect();
        par_gemm(1.0, Mat::new(&u, n, d), Mat::new(&self.means, c, d).t(), 1.0, &mut z);
        let nearest = softmax_rows(&mut z, c);
        let half = u.chunks_exact(d).map(|row| 0.5 * row.iter().map(|v| v * v).sum::<f64>());
        Ok(Prediction { probs: z, classes: c, log_px: Some(nearest.iter().zip(half).map(|(s, h)| s - h).collect()) })
    }

    fn save(&self, state: &mut State) {
        self.save_as(state, PREFIX);
    }
}
