//! Z-scores per gene.

use super::moments::{Moments, column_moments};
use crate::data::{Csr, Dense};
use crate::error::{Error, Result};
use rayon::prelude::*;

/// How [`Scaling::apply`] treats values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScaleParams {
    /// Subtract the mean.
    pub zero_center: bool,
    /// Clip at this value (and, when centred, at its negative).
    pub max_value: Option<f32>,
}

impl Default for ScaleParams {
    fn default() -> Self {
        ScaleParams { zero_center: true, max_value: Some(10.0) }
    }
}

/// Mean and standard deviation per gene, learned once and applied to any cells.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Scaling {
    /// Mean of each gene.
    pub mean: Vec<f64>,
    /// With n - 1 in the denominator; 1 where a gene does not vary.
    pub std: Vec<f64>,
}

impl Scaling {
    /// Learns from the cells of `x`, zeros included.
    pub fn fit(x: &Csr) -> Scaling {
        Scaling::of(column_moments(x))
    }

    /// The same of moments that are known.
    pub fn of(moments: Moments) -> Scaling {
        let std = moments.variance.iter().map(|v| if *v > 0.0 { v.sqrt() } else { 1.0 }).collect();
        Scaling { mean: moments.mean, std }
    }

    /// `(value - mean) / std` of a gene, clipped; computed in f64 and rounded once.
    pub fn score(&self, gene: usize, value: f64, params: ScaleParams) -> f32 {
        let high = params.max_value.map_or(f64::INFINITY, f64::from);
        let low = if params.zero_center { -high } else { f64::NEG_INFINITY };
        let shift = if params.zero_center { self.mean[gene] } else { 0.0 };
        let z = (value - shift) / self.std[gene];
        // Not clamp: NaN must stay NaN and never panic.
        (if z > high {
            high
        } else if z < low {
            low
        } else {
            z
        }) as f32
    }

    /// The [score](Scaling::score) of every value.
    ///
    /// # Errors
    /// `Error::Shape` if `x` has another number of genes.
    pub fn apply(&self, x: &Csr, params: ScaleParams) -> Result<Dense> {
        if x.n_cols() != self.mean.len() {
            return Err(Error::Shape {
                op: "scale",
                expected: format!("{} genes", self.mean.len()),
                found: format!("{}", x.n_cols()),
            });
        }
        let n_cols = x.n_cols();
        let score = |gene: usize, value: f64| self.score(gene, value, params);
        let zeros: Vec<f32> = (0..n_cols).map(|gene| score(gene, 0.0)).collect();
        let mut scaled = vec![0f32; x.n_rows() * n_cols];
        scaled.par_chunks_mut(n_cols.max(1)).enumerate().for_each(|(row, out)| {
            out.copy_from_slice(&zeros);
            let (columns, values) = x.row(row);
            for (&column, &value) in columns.iter().zip(values) {
                out[column as usize] = score(column as usize, f64::from(value));
            }
        });
        Dense::new(x.n_rows(), n_cols, scaled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scaled_genes_have_mean_0_and_variance_1_and_constants_stay_finite() {
        let x = Csr::from_dense(4, 3, &[1., 2., 0., 0., 2., 0., 3., 2., 0., 5., 2., 9.]).unwrap();
        let scaling = Scaling::fit(&x);
        let y = scaling.apply(&x, ScaleParams { zero_center: true, max_value: Some(1.3) }).unwrap();
        let column = |c: usize| (0..4).map(|r| f64::from(y.row(r)[c])).collect::<Vec<_>>();
        assert_eq!(column(1), [0.0; 4]);
        assert_eq!(column(2)[3], f64::from(1.3f32));
        assert!(column(0).iter().sum::<f64>().abs() < 1e-6);
        let raw = scaling.apply(&x, ScaleParams { zero_center: false, max_value: None }).unwrap();
        assert_eq!(raw.row(1)[0], 0.0);
        assert!(scaling.apply(&Csr::zeros(1, 2), ScaleParams::default()).is_err());
    }
}
