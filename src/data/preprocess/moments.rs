//! Mean and variance per gene.

use crate::data::{Csr, RowBlocks};
use crate::error::Result;

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
    // Nothing is read, so nothing fails.
    moments_of_blocks(x).unwrap_or_else(|_| Moments { mean: Vec::new(), variance: Vec::new() })
}

/// The same of a matrix that is read in blocks, with the same bits.
///
/// # Errors
/// Those of reading.
pub fn moments_of_blocks(x: &dyn RowBlocks) -> Result<Moments> {
    let mut parts = Parts::new(x, None, f64::from)?;
    Ok(parts.parts.swap_remove(0).moments)
}

/// One part of the rows.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) moments: Moments,
    /// Its rows.
    pub(super) n: usize,
    /// Of each column, rows with a value above 0.
    pub(super) positive: Vec<usize>,
}

/// Moments of `f(value)`, where `f(0) = 0`, in each part of the rows.
#[derive(Clone, Debug)]
pub(super) struct Parts {
    pub(super) parts: Vec<Part>,
}

/// The part of every row, as a number below their number.
#[derive(Clone, Copy, Debug)]
pub(super) struct PartOf<'a> {
    pub(super) codes: &'a [usize],
    pub(super) n: usize,
}

impl Parts {
    pub(super) fn new(x: &dyn RowBlocks, of: Option<PartOf>, f: impl Fn(f32) -> f64) -> Result<Parts> {
        let n_cols = x.n_cols();
        let n_parts = of.map_or(1, |of| of.n);
        let part_of = |row: usize| of.map_or(0, |of| of.codes[row]);
        let zeros = || vec![vec![0f64; n_cols]; n_parts];
        let (mut mean, mut variance) = (zeros(), zeros());
        let mut stored = vec![vec![0usize; n_cols]; n_parts];
        let mut positive = stored.clone();
        let mut n = vec![0usize; n_parts];
        x.pass(&mut |first, block| {
            for row in 0..block.n_rows() {
                let part = part_of(first + row);
                n[part] += 1;
                let (mean, stored, positive) = (&mut mean[part], &mut stored[part], &mut positive[part]);
                let (columns, values) = block.row(row);
                for (&column, &value) in columns.iter().zip(values) {
                    let column = column as usize;
                    mean[column] += f(value);
                    stored[column] += 1;
                    positive[column] += usize::from(value > 0.0);
                }
            }
            Ok(())
        })?;
        for (mean, &n) in mean.iter_mut().zip(&n) {
            mean.iter_mut().for_each(|sum| *sum /= (n as f64).max(1.0));
        }
        x.pass(&mut |first, block| {
            for row in 0..block.n_rows() {
                let part = part_of(first + row);
                let (mean, variance) = (&mean[part], &mut variance[part]);
                let (columns, values) = block.row(row);
                for (&column, &value) in columns.iter().zip(values) {
                    let distance = f(value) - mean[column as usize];
                    variance[column as usize] += distance * distance;
                }
            }
            Ok(())
        })?;
        let mut parts = Vec::with_capacity(n_parts);
        for (part, (mean, mut variance)) in mean.into_iter().zip(variance).enumerate() {
            let rows = n[part];
            for column in 0..n_cols {
                let zeros = (rows - stored[part][column]) as f64;
                let squares = variance[column] + zeros * mean[column] * mean[column];
                variance[column] = squares / (rows as f64 - 1.0).max(1.0);
            }
            let positive = std::mem::take(&mut positive[part]);
            parts.push(Part { moments: Moments { mean, variance }, n: rows, positive });
        }
        Ok(Parts { parts })
    }
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
