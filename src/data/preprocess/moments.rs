//! Mean and variance per gene.

use crate::data::Csr;

/// One value per column.
#[derive(Clone, Debug, PartialEq)]
pub struct Moments {
    /// Mean of each gene.
    pub mean: Vec<f64>,
    /// Unbiased (divided by n - 1); 0 for fewer than two rows.
    pub variance: Vec<f64>,
}

/// Mean and unbiased variance of each column, zeros included.
///
/// Two passes in f64, rows in order: first the mean, then the squared distances to it, the
/// unstored zeros of a column counted as one term.
pub fn column_moments(x: &Csr) -> Moments {
    moments_of(x, f64::from)
}

/// The same of `f(value)`, where `f(0) = 0`.
pub(super) fn moments_of(x: &Csr, f: impl Fn(f32) -> f64) -> Moments {
    let n = x.n_rows() as f64;
    let mut mean = vec![0f64; x.n_cols()];
    let mut stored = vec![0usize; x.n_cols()];
    for (&column, &value) in x.indices().iter().zip(x.values()) {
        mean[column as usize] += f(value);
        stored[column as usize] += 1;
    }
    mean.iter_mut().for_each(|sum| *sum /= n.max(1.0));
    let mut variance = vec![0f64; x.n_cols()];
    for (&column, &value) in x.indices().iter().zip(x.values()) {
        let distance = f(value) - mean[column as usize];
        variance[column as usize] += distance * distance;
    }
    for column in 0..x.n_cols() {
        let zeros = (x.n_rows() - stored[column]) as f64;
        variance[column] = (variance[column] + zeros * mean[column] * mean[column]) / (n - 1.0).max(1.0);
    }
    Moments { mean, variance }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_count_the_zeros_that_are_not_stored() {
        let x = Csr::from_dense(4, 2, &[1., 0., 3., 0., 0., 0., 0., 5.]).unwrap();
        let m = column_moments(&x);
        assert_eq!(m.mean, [1.0, 1.25]);
        assert_eq!(m.variance, [2.0, 6.25]);
        assert_eq!(column_moments(&Csr::zeros(1, 1)).variance, [0.0]);
    }
}
