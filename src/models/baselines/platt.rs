//! Decision values to probabilities: a logistic curve fitted to held-out values (Platt 1999; the Newton
//! iteration of Lin, Lin and Weng 2007, doi:10.1007/s10994-007-5018-6).

use crate::analysis::linalg::{exp, ln};

/// `p(v) = 1 / (1 + exp(slope v + offset))`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Platt {
    pub slope: f64,
    pub offset: f64,
}

const ITERATIONS: usize = 100;
/// Least step of the line search.
const LEAST_STEP: f64 = 1e-10;

impl Platt {
    /// Fits decision values of cells that are (`positive`) of a class or not. Targets are
    /// `(N+ + 1)/(N+ + 2)` and `1/(N- + 2)`, so that no probability becomes 0 or 1.
    pub fn fit(values: &[f64], positive: &[bool]) -> Platt {
        let n_pos = positive.iter().filter(|p| **p).count() as f64;
        let n_neg = positive.len() as f64 - n_pos;
        let (high, low) = ((n_pos + 1.0) / (n_pos + 2.0), 1.0 / (n_neg + 2.0));
        let target = |p: bool| if p { high } else { low };
        let objective = |a: f64, b: f64| -> f64 {
            let term = |(v, &p): (&f64, &bool)| {
                let z = a * v + b;
                // -t ln p - (1 - t) ln(1 - p), without overflow.
                let t = target(p);
                if z >= 0.0 { t * z + ln(1.0 + exp(-z)) } else { (t - 1.0) * z + ln(1.0 + exp(z)) }
            };
            values.iter().zip(positive).map(term).sum()
        };
        let (mut a, mut b) = (0.0, ln((n_neg + 1.0) / (n_pos + 1.0)));
        let mut value = objective(a, b);
        for _ in 0..ITERATIONS {
            let (mut g1, mut g2, mut h11, mut h22, mut h21) = (0.0, 0.0, 1e-12, 1e-12, 0.0);
            for (v, &positive) in values.iter().zip(positive) {
                let p = probability(a * v + b);
                let (d1, d2) = (target(positive) - p, p * (1.0 - p));
                g1 += v * d1;
                g2 += d1;
                h11 += v * v * d2;
                h22 += d2;
                h21 += v * d2;
            }
            if g1.abs() < 1e-5 && g2.abs() < 1e-5 {
                break;
            }
            let det = h11 * h22 - h21 * h21;
            let (da, db) = (-(h22 * g1 - h21 * g2) / det, -(h11 * g2 - h21 * g1) / det);
            let slope = g1 * da + g2 * db;
            let mut step = 1.0;
            while step >= LEAST_STEP {
                let next = objective(a + step * da, b + step * db);
                if next < value + 1e-4 * step * slope {
                    (a, b, value) = (a + step * da, b + step * db, next);
                    break;
                }
                step *= 0.5;
            }
            if step < LEAST_STEP {
                break;
            }
        }
        Platt { slope: a, offset: b }
    }

    /// The probability of the class.
    pub fn probability(&self, value: f64) -> f64 {
        probability(self.slope * value + self.offset)
    }
}

/// `1 / (1 + e^z)`.
fn probability(z: f64) -> f64 {
    if z >= 0.0 { exp(-z) / (1.0 + exp(-z)) } else { 1.0 / (1.0 + exp(z)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check 21 of the CLAMS specification: probabilities rise with the margin.
    #[test]
    fn check_21_platt_is_monotone_in_the_margin_and_keeps_the_base_rate() {
        let values: Vec<f64> = (0..60).map(|i| (f64::from(i) - 30.0) / 10.0).collect();
        // Some cells on the wrong side.
        let positive: Vec<bool> = (0..60).map(|i| (i > 35) != (i % 9 == 0)).collect();
        let fit = Platt::fit(&values, &positive);
        assert!(fit.slope < 0.0);
        let p: Vec<f64> = values.iter().map(|&v| fit.probability(v)).collect();
        assert!(p.windows(2).all(|w| w[0] < w[1]));
        // At the optimum the mean probability is the mean target.
        let n_pos = positive.iter().filter(|b| **b).count() as f64;
        let targets = n_pos * (n_pos + 1.0) / (n_pos + 2.0) + (60.0 - n_pos) / (62.0 - n_pos);
        assert!((p.iter().sum::<f64>() - targets).abs() < 1e-4);
        assert!(fit.probability(-1e9) >= 0.0 && fit.probability(1e9) <= 1.0);
    }

    #[test]
    fn one_sided_labels_give_finite_curves() {
        for side in [true, false] {
            let fit = Platt::fit(&[1.0, 2.0, 3.0], &[side; 3]);
            assert!(fit.slope.is_finite() && fit.offset.is_finite());
            assert_eq!(fit.probability(2.0) > 0.5, side);
        }
    }
}
