//! What the genes say of each class, as features beside the components.
//!
//! May use: `analysis`. Fifty corrected components keep what varies most; what tells types apart in a
//! small reference is partly beyond them. A ridge regression of the labels on many components (that
//! is, on the genes) adds one feature per class. Every reference cell gets the prediction of a fit
//! without it: the network sees it as it will see a new cell, and cells that calibrate can take part.

use crate::analysis::pca::Pca;
use crate::analysis::ridge::Ridge;
use crate::cpu::dgemm::{Mat, par_gemm};
use crate::error::Result;

/// Components that the regression sees.
pub(super) const SCORED_PCS: usize = 200;

/// One score per cell and class, or whatever else is linear in the genes.
pub(super) struct ClassScores {
    /// `[cells, C]`
    pub values: Vec<f64>,
    /// Classes C.
    pub n_classes: usize,
    /// `[C, genes]`: turns centred z-scores of a cell's genes into its scores.
    pub loadings: Vec<f64>,
}

impl ClassScores {
    /// For all cells of `pca`; learns from the first, which carry `labels`.
    ///
    /// # Errors
    /// As [`Ridge::fit`].
    pub fn fit(pca: &Pca, labels: &[u32], n_classes: usize) -> Result<ClassScores> {
        let d = pca.n_comps;
        let fit = Ridge::fit(&pca.scores[..labels.len() * d], d, labels, n_classes)?;
        let coefficients = Mat::new(&fit.coefficients, n_classes, d);
        let n = pca.scores.len() / d;
        let mut values = vec![0.0; n * n_classes];
        par_gemm(1.0, Mat::new(&pca.scores, n, d), coefficients.t(), 0.0, &mut values);
        for (row, left_out) in values.chunks_exact_mut(n_classes).zip(fit.left_out.chunks_exact(n_classes)) {
            let own = left_out.iter().zip(&fit.offsets).map(|(score, offset)| score - offset);
            row.iter_mut().zip(own).for_each(|(v, own)| *v = own);
        }
        let mut loadings = vec![0.0; n_classes * pca.n_vars];
        par_gemm(1.0, coefficients, Mat::new(&pca.components, d, pca.n_vars), 0.0, &mut loadings);
        Ok(ClassScores { values, n_classes, loadings })
    }

    /// In place of scores, the z-scores `[cells, genes]` of the `k` genes that load most on any component.
    pub fn of_top_genes(pca: &Pca, z: &[f32], k: usize) -> ClassScores {
        let g = pca.n_vars;
        let most = |gene: usize| pca.components.iter().skip(gene).step_by(g).fold(0.0f64, |m, v| m.max(v.abs()));
        let mut genes: Vec<(f64, usize)> = (0..g).map(|gene| (most(gene), gene)).collect();
        genes.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        genes.truncate(k);
        let values = z.chunks_exact(g).flat_map(|row| genes.iter().map(|&(_, j)| f64::from(row[j]) - pca.mean[j]));
        let mut loadings = vec![0.0; genes.len() * g];
        genes.iter().enumerate().for_each(|(i, &(_, gene))| loadings[i * g + gene] = 1.0);
        ClassScores { values: values.collect(), n_classes: genes.len(), loadings }
    }

    /// Gives the scores the mean variance that the features `[cells, width]` have over the rows `train`.
    pub fn bring_to_scale(&mut self, features: &[f32], width: usize, train: &[usize]) {
        let own = mean_variance(train, self.n_classes, |at| self.values[at]);
        let wanted = mean_variance(train, width, |at| f64::from(features[at]));
        if own > 0.0 {
            let gain = (wanted / own).sqrt();
            self.values.iter_mut().chain(&mut self.loadings).for_each(|v| *v *= gain);
        }
    }

    /// `features` `[cells, width]` with the scores beside them, `[cells, width + C]`.
    pub fn beside(&self, features: &[f32], width: usize) -> Vec<f32> {
        beside(features, width, &self.values, self.n_classes)
    }
}

/// Rows of `features` `[n, width]` followed by those of `scores` `[n, classes]`.
pub(super) fn beside(features: &[f32], width: usize, scores: &[f64], classes: usize) -> Vec<f32> {
    let rows = features.chunks_exact(width).zip(scores.chunks_exact(classes));
    rows.flat_map(|(row, scores)| row.iter().copied().chain(scores.iter().map(|&v| v as f32))).collect()
}

/// Mean over the columns of the variance over some rows.
fn mean_variance(rows: &[usize], width: usize, value: impl Fn(usize) -> f64) -> f64 {
    let n = rows.len().max(1) as f64;
    let column = |j: usize| {
        let mean = rows.iter().map(|row| value(row * width + j)).sum::<f64>() / n;
        rows.iter().map(|row| (value(row * width + j) - mean).powi(2)).sum::<f64>() / n
    };
    (0..width).map(column).sum::<f64>() / width.max(1) as f64
}
