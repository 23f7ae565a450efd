//! Library size and logarithm.

use crate::data::Csr;
use crate::error::{Error, Result};
use rayon::prelude::*;

/// What every cell's total becomes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    /// The median of the totals that are not 0.
    Median,
    /// This sum for every cell.
    Sum(f64),
}

/// Scales each cell to the same total; cells without counts stay empty.
///
/// Returns the scaled matrix and the total that was aimed at. A value is
/// `x / (total / target)`, computed in f64 and rounded once.
///
/// # Errors
/// `Error::Data` if the median is asked for and every cell is empty; `Error::Usage` for a target
/// that is not a positive number.
pub fn normalize_total(x: &Csr, target: Target) -> Result<(Csr, f64)> {
    let totals = x.row_sums();
    let target = match target {
        Target::Sum(sum) if sum > 0.0 && sum.is_finite() => sum,
        Target::Sum(sum) => return Err(Error::usage(format!("target sum {sum}"), "give a positive number")),
        Target::Median => median_total(&totals)?,
    };
    let mut scaled = x.clone();
    scale_rows(&mut scaled, &totals, target);
    Ok((scaled, target))
}

/// The median of the totals that are not 0.
///
/// # Errors
/// `Error::Data` if all are.
pub fn median_total(totals: &[f64]) -> Result<f64> {
    let mut filled: Vec<f64> = totals.iter().copied().filter(|&t| t > 0.0).collect();
    if filled.is_empty() {
        return Err(Error::data("matrix", "no cell has counts", "check the input layer"));
    }
    Ok(median(&mut filled))
}

/// Scales rows with the given totals (one per row) to the total `target`.
pub fn scale_rows(x: &mut Csr, totals: &[f64], target: f64) {
    for (row, &total) in totals.iter().enumerate().filter(|(_, t)| **t > 0.0) {
        let factor = total / target;
        let span = x.indptr()[row]..x.indptr()[row + 1];
        x.values_mut()[span].iter_mut().for_each(|v| *v = (f64::from(*v) / factor) as f32);
    }
}

/// `ln(1 + x)` of every stored value, by the portable [`crate::math::log1p`].
pub fn log1p(x: &mut Csr) {
    x.values_mut().par_chunks_mut(1 << 14).for_each(|chunk| {
        chunk.iter_mut().for_each(|v| *v = crate::math::log1p(*v));
    });
}

/// The middle value, or the mean of the two middle ones; reorders `values`, which must not be
/// empty and hold no NaN.
pub(super) fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let half = values.len() / 2;
    if values.len() % 2 == 1 { values[half] } else { (values[half - 1] + values[half]) / 2.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_become_the_target_and_empty_cells_stay() {
        let x = Csr::from_dense(3, 2, &[1., 3., 0., 0., 5., 5.]).unwrap();
        let (y, target) = normalize_total(&x, Target::Median).unwrap();
        assert_eq!((target, y.row_sums()), (7.0, vec![7.0, 0.0, 7.0]));
        let (y, _) = normalize_total(&x, Target::Sum(1e4)).unwrap();
        assert_eq!(y.row_sums(), [1e4, 0.0, 1e4]);
        assert!(normalize_total(&Csr::zeros(2, 2), Target::Median).is_err());
        assert!(normalize_total(&x, Target::Sum(-1.0)).is_err());
    }

    #[test]
    fn log1p_keeps_zeros() {
        let mut x = Csr::from_dense(1, 2, &[0., 1.]).unwrap();
        log1p(&mut x);
        assert_eq!(x.get(0, 0), 0.0);
        assert!((x.get(0, 1) - 2f32.ln()).abs() < 1e-6);
    }
}
