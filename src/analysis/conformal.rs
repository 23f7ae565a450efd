//! Is a cell unlike everything the model was trained on? Conformal p-values of its score against
//! held-out reference cells. May use: error, metrics.
//!
//! If a cell comes from the reference's own distribution, its p-value is at most `a` with a
//! probability of at most `a`, whatever the score (Vovk, Gammerman and Shafer 2005; Bates et al.
//! 2023 for outliers). Classes are not told apart.
#![forbid(unsafe_code)]

use super::metrics::labels::check_no_nan;
use crate::error::{Error, Result};

/// Scores of held-out reference cells; higher means more in-distribution.
#[derive(Clone, Debug)]
pub struct Conformal {
    sorted: Vec<f64>,
}

impl Conformal {
    /// Takes the reference scores, in any order.
    ///
    /// # Errors
    /// `Error::Argument` if there is none or one is NaN.
    pub fn new(reference: &[f64]) -> Result<Conformal> {
        if reference.is_empty() {
            return Err(Error::Argument { op: "conformal", what: "there is no held-out reference cell".into() });
        }
        check_no_nan("conformal", "the reference score", reference)?;
        // Adding 0 turns -0 into 0, which total_cmp would put below it.
        let mut sorted: Vec<f64> = reference.iter().map(|v| v + 0.0).collect();
        sorted.sort_by(f64::total_cmp);
        Ok(Conformal { sorted })
    }

    /// Number of reference cells.
    pub fn cells(&self) -> usize {
        self.sorted.len()
    }

    /// `(1 + #{reference <= score}) / (cells + 1)`; NaN for a NaN.
    pub fn p_value(&self, score: f64) -> f64 {
        if score.is_nan() {
            return f64::NAN;
        }
        self.p_of_rank(self.sorted.partition_point(|&r| r <= score))
    }

    /// [`Conformal::p_value`] of each score.
    ///
    /// # Errors
    /// `Error::Argument` if a score is NaN.
    pub fn p_values(&self, scores: &[f64]) -> Result<Vec<f64>> {
        check_no_nan("conformal", "the score", scores)?;
        Ok(scores.iter().map(|&s| self.p_value(s)).collect())
    }

    fn p_of_rank(&self, at_or_below: usize) -> f64 {
        (1 + at_or_below) as f64 / (self.sorted.len() + 1) as f64
    }

    /// The score below which cells are flagged at the false positive rate `fpr`: `score < threshold`
    /// holds exactly where `p_value(score) <= fpr`.
    ///
    /// Minus infinity (no cell is flagged) if there are too few reference cells for so small a rate:
    /// the least p-value is `1 / (cells + 1)`.
    ///
    /// # Errors
    /// `Error::Argument` if `fpr` is not within [0, 1].
    pub fn threshold(&self, fpr: f64) -> Result<f64> {
        if !(0.0..=1.0).contains(&fpr) {
            return Err(Error::Argument {
                op: "conformal",
                what: format!("false positive rate {fpr} is not between 0 and 1"),
            });
        }
        // The number of ranks whose p-value is at most fpr; p-values rise with the rank.
        let n = self.sorted.len();
        let flagged = (0..=n).take_while(|&rank| self.p_of_rank(rank) <= fpr).count();
        Ok(match flagged {
            0 => f64::NEG_INFINITY,
            f if f > n => f64::INFINITY,
            f => self.sorted[f - 1],
        })
    }

    /// Share of `scores` flagged at the false positive rate `fpr`: the power, if they are of unknown
    /// cells; the false positive rate reached, if they are of known ones. NaN without scores.
    ///
    /// # Errors
    /// As [`Conformal::p_values`] and [`Conformal::threshold`].
    pub fn flagged_share(&self, scores: &[f64], fpr: f64) -> Result<f64> {
        self.threshold(fpr)?;
        let flagged = self.p_values(scores)?.into_iter().filter(|&p| p <= fpr).count();
        Ok(flagged as f64 / scores.len() as f64)
    }

    /// Share of unknown cells that are flagged at the false positive rate `fpr`.
    pub fn power(&self, unknown: &[f64], fpr: f64) -> Result<f64> {
        self.flagged_share(unknown, fpr)
    }
}

/// Quantile `q` of the values by linear interpolation between order statistics (position
/// `q (n - 1)`), as the threshold for rejection uses it.
///
/// # Errors
/// `Error::Argument` without values, for a NaN, or for `q` outside [0, 1].
pub fn quantile(values: &[f64], q: f64) -> Result<f64> {
    if values.is_empty() || !(0.0..=1.0).contains(&q) {
        return Err(Error::Argument { op: "quantile", what: format!("quantile {q} of {} values", values.len()) });
    }
    check_no_nan("quantile", "the value", values)?;
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let position = q * (sorted.len() - 1) as f64;
    let (below, part) = (position.floor() as usize, position.fract());
    if part == 0.0 {
        return Ok(sorted[below]);
    }
    Ok(sorted[below] + part * (sorted[below + 1] - sorted[below]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p_values_count_the_reference_at_or_below() {
        let c = Conformal::new(&[3.0, 1.0, 2.0, 2.0]).unwrap();
        let p = c.p_values(&[0.0, 1.0, 2.0, 2.5, 9.0, f64::NEG_INFINITY]).unwrap();
        assert_eq!(p, vec![0.2, 0.4, 0.8, 0.8, 1.0, 0.2]);
        assert!(c.p_values(&[f64::NAN]).is_err());
        assert!(Conformal::new(&[]).is_err());
        assert!(Conformal::new(&[f64::NAN]).is_err());
    }

    #[test]
    fn threshold_flags_exactly_the_small_p_values() {
        let reference: Vec<f64> = (0..99).map(|i| f64::from((i * 31) % 50)).collect();
        let c = Conformal::new(&reference).unwrap();
        for step in 0..=100 {
            let fpr = f64::from(step) / 100.0;
            let t = c.threshold(fpr).unwrap();
            for s in (-2..104).map(|i| f64::from(i) / 2.0) {
                assert_eq!(s < t, c.p_value(s) <= fpr, "fpr {fpr} score {s} threshold {t}");
            }
        }
        assert_eq!(c.threshold(0.001).unwrap(), f64::NEG_INFINITY);
        assert!(c.threshold(1.5).is_err());
    }

    #[test]
    fn power_is_the_share_below_the_threshold() {
        let reference: Vec<f64> = (0..99).map(f64::from).collect();
        let c = Conformal::new(&reference).unwrap();
        assert_eq!(c.power(&[-5.0, 2.0, 3.9, 4.0, 50.0], 0.05).unwrap(), 0.6);
        assert!(c.power(&[], 0.05).unwrap().is_nan());
    }

    #[test]
    fn quantile_interpolates() {
        assert_eq!(quantile(&[4.0, 1.0, 2.0, 3.0], 0.5).unwrap(), 2.5);
        assert_eq!(quantile(&[7.0], 0.05).unwrap(), 7.0);
        assert_eq!(quantile(&[1.0, f64::INFINITY], 0.0).unwrap(), 1.0);
        assert!(quantile(&[], 0.5).is_err());
    }
}
