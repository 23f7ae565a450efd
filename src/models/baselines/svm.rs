//! Linear one-against-rest support vector machine with probabilities (SVM_reject of the benchmarks, whose
//! rejection is at a probability below 0.7).
//!
//! Squared hinge loss, C = 1, the bias as a feature that is 1 everywhere; dual coordinate descent
//! (Hsieh et al. 2008, doi:10.1145/1390156.1390208). Decision values become probabilities by Platt's
//! curve on cells that were not fitted.

use super::platt::Platt;
use super::{Cells, Classifier, Prediction, get, put, require_rows, stored};
use crate::analysis::linalg::{axpy, dot};
use crate::cpu::dgemm::{Mat, par_gemm};
use crate::data::batches::k_folds;
use crate::error::Result;
use crate::models::run::State;
use crate::rng::{Stream, stream};
use rayon::prelude::*;

const C: f64 = 1.0;
const PASSES: u32 = 1000;
/// Spread of the projected gradient at which the descent is done.
const TOLERANCE: f64 = 1e-4;
/// Parts whose decision values come from a machine that was fitted to the others.
const FOLDS: usize = 5;

/// A weight vector per class, the bias last, and its curve.
pub(super) struct Svm {
    width: usize,
    classes: usize,
    /// `[classes, width + 1]`
    weights: Vec<f64>,
    /// `[classes, 2]`: slope and offset of Platt's curve.
    curves: Vec<f64>,
}

/// One class against the rest.
struct Machine {
    /// `[width + 1]`
    weights: Vec<f64>,
}

impl Machine {
    /// Fits cells `[n, width]`; those of `class` are on the positive side.
    fn fit(cells: &Cells, class: u32) -> Machine {
        Machine::with_duals(cells, class).0
    }

    /// The same with the dual variables `[n]`.
    fn with_duals(cells: &Cells, class: u32) -> (Machine, Vec<f64>) {
        let (n, d) = (cells.len(), cells.width);
        let side = |i: usize| if cells.y[i] == class { 1.0 } else { -1.0 };
        let row = |i: usize| &cells.x[i * d..(i + 1) * d];
        let diagonal: Vec<f64> = (0..n).map(|i| dot(row(i), row(i)) + 1.0 + 0.5 / C).collect();
        let (mut w, mut alpha) = (vec![0.0; d + 1], vec![0.0; n]);
        for pass in 0..PASSES {
            let order = Stream::new(0, stream::SUBSAMPLE).at(pass).part(class).rng().permutation(n);
            let (mut most, mut least) = (f64::NEG_INFINITY, f64::INFINITY);
            for i in order.into_iter().map(|i| i as usize) {
                let gradient = side(i) * (dot(&w[..d], row(i)) + w[d]) - 1.0 + alpha[i] * 0.5 / C;
                let projected = if alpha[i] == 0.0 { gradient.min(0.0) } else { gradient };
                (most, least) = (most.max(projected), least.min(projected));
                if projected != 0.0 {
                    let next = (alpha[i] - gradient / diagonal[i]).max(0.0);
                    let change = (next - alpha[i]) * side(i);
                    alpha[i] = next;
                    axpy(change, row(i), &mut w[..d]);
                    w[d] += change;
                }
            }
            if most - least < TOLERANCE {
                break;
            }
        }
        (Machine { weights: w }, alpha)
    }

    fn value(&self, x: &[f64]) -> f64 {
        let d = x.len();
        dot(&self.weights[..d], x) + self.weights[d]
    }
}

impl Svm {
    pub fn fit(cells: &Cells) -> Result<Svm> {
        let (n, d) = (cells.len(), cells.width);
        // What machines say of cells that they have not seen; with one fold's worth of cells only, of all.
        let folds = if n < 2 { vec![] } else { k_folds(&cells.y, FOLDS.min(n), 0)? };
        let each = |class: u32| {
            let all = Machine::fit(cells, class);
            let mut values: Vec<f64> = cells.x.chunks_exact(d).map(|row| all.value(row)).collect();
            for fold in &folds {
                let rest: Vec<usize> = (0..n).filter(|row| fold.binary_search(row).is_err()).collect();
                let rest = cells.select(&rest);
                // A class that is nowhere else is calibrated on what it was fitted to.
                if rest.y.contains(&class) {
                    let part = Machine::fit(&rest, class);
                    fold.iter().for_each(|&i| values[i] = part.value(&cells.x[i * d..(i + 1) * d]));
                }
            }
            let positive: Vec<bool> = cells.y.iter().map(|&y| y == class).collect();
            (all.weights, Platt::fit(&values, &positive))
        };
        let fitted: Vec<(Vec<f64>, Platt)> = (0..cells.classes as u32).into_par_iter().map(each).collect();
        Ok(Svm {
            width: d,
            classes: cells.classes,
            weights: stored(&fitted.iter().flat_map(|(w, _)| w.iter().copied()).collect::<Vec<_>>()),
            curves: stored(&fitted.iter().flat_map(|(_, p)| [p.slope, p.offset]).collect::<Vec<_>>()),
        })
    }

    pub fn load(state: &State, width: usize, classes: usize) -> Result<Svm> {
        Ok(Svm {
            width,
            classes,
            weights: get(state, "baseline.weights", &[classes, width + 1])?,
            curves: get(state, "baseline.curves", &[classes, 2])?,
        })
    }
}

impl Classifier for Svm {
    /// `p_c / sum p`.
    fn predict(&self, x: &[f64]) -> Result<Prediction> {
        let (d, c) = (self.width, self.classes);
        require_rows(x, d)?;
        let n = x.len() / d;
        let (mut plain, mut bias) = (Vec::with_capacity(c * d), Vec::with_capacity(c));
        for row in self.weights.chunks_exact(d + 1) {
            plain.extend_from_slice(&row[..d]);
            bias.push(row[d]);
        }
        let mut probs: Vec<f64> = (0..n).flat_map(|_| bias.iter().copied()).collect();
        par_gemm(1.0, Mat::new(x, n, d), Mat::new(&plain, c, d).t(), 1.0, &mut probs);
        for row in probs.chunks_exact_mut(c) {
            for (value, curve) in row.iter_mut().zip(self.curves.chunks_exact(2)) {
                *value = Platt { slope: curve[0], offset: curve[1] }.probability(*value);
            }
            share(row);
        }
        Ok(Prediction { probs, classes: c, log_px: None })
    }

    fn save(&self, state: &mut State) {
        put(state, "baseline.weights", &[self.classes, self.width + 1], &self.weights);
        put(state, "baseline.curves", &[self.classes, 2], &self.curves);
    }
}

/// Makes a row sum to 1; a row of zeros becomes uniform.
pub(super) fn share(row: &mut [f64]) {
    let (sum, n) = (row.iter().sum::<f64>(), row.len() as f64);
    row.iter_mut().for_each(|v| *v = if sum > 0.0 { *v / sum } else { 1.0 / n });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two overlapping clouds in the plane.
    fn cells(n: usize) -> Cells {
        let mut rng = Stream::new(3, stream::TEST).rng();
        let y: Vec<u32> = (0..n as u32).map(|i| i % 2).collect();
        let x = y.iter().flat_map(|&y| [rng.normal() + 2.0 * f64::from(y), 3.0 * rng.normal()]).collect();
        Cells { x, width: 2, y, classes: 2 }
    }

    /// Check 21 of the CLAMS specification.
    #[test]
    fn check_21_the_dual_gap_is_below_a_thousandth_of_the_primal() {
        let cells = cells(120);
        let (fit, alpha) = Machine::with_duals(&cells, 1);
        let square: f64 = fit.weights.iter().map(|v| v * v).sum();
        let loss = |(row, &y): (&[f64], &u32)| {
            let side = if y == 1 { 1.0 } else { -1.0 };
            (1.0 - side * fit.value(row)).max(0.0).powi(2)
        };
        let primal = 0.5 * square + C * cells.x.chunks_exact(2).zip(&cells.y).map(loss).sum::<f64>();
        let slack: f64 = alpha.iter().map(|a| a * a).sum::<f64>() * 0.25 / C;
        let dual = alpha.iter().sum::<f64>() - 0.5 * square - slack;
        assert!(primal >= dual && primal - dual < 1e-3 * primal, "{primal} {dual}");
    }

    #[test]
    fn probabilities_sum_to_one_and_follow_the_classes() {
        let cells = cells(200);
        let fit = Svm::fit(&cells).unwrap();
        let said = fit.predict(&cells.x).unwrap();
        assert!(said.probs.chunks(2).all(|row| (row[0] + row[1] - 1.0).abs() < 1e-12));
        let right = said.probs.chunks(2).zip(&cells.y).filter(|(row, y)| (row[1] > row[0]) == (**y == 1)).count();
        assert!(right > 160, "{right}");
        let mut zeros = [0.0, 0.0];
        share(&mut zeros);
        assert_eq!(zeros, [0.5, 0.5]);
    }
}
