//! The confusion matrix and the figures that come from it. May use: error, labels.

use super::labels::{check_length, check_some};
use crate::error::{Error, Result};

/// Counts of (true class, predicted class).
pub struct Confusion {
    /// Number of classes.
    pub classes: usize,
    /// `[classes, classes]`, rows true, columns predicted.
    pub counts: Vec<u64>,
}

/// Precision, recall and F1, of one class or averaged; 0 where a denominator is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Scores {
    /// Share of the cells called so that are so.
    pub precision: f64,
    /// Share of the cells that are so that are called so.
    pub recall: f64,
    /// Harmonic mean of both.
    pub f1: f64,
}

impl Confusion {
    /// Counts pairs of codes below `classes`.
    ///
    /// # Errors
    /// `Error::Shape` if the lengths differ, `Error::Argument` for a code out of range or no cell.
    pub fn new(truth: &[u32], predicted: &[u32], classes: usize) -> Result<Confusion> {
        check_some("confusion", truth.len())?;
        check_length("confusion", "predictions", truth.len(), predicted.len())?;
        let mut counts = vec![0; classes * classes];
        for (cell, (&t, &p)) in truth.iter().zip(predicted).enumerate() {
            let worst = t.max(p);
            if worst as usize >= classes {
                return Err(Error::Argument {
                    op: "confusion",
                    what: format!("cell {cell} has class {worst}, beyond {classes} classes"),
                });
            }
            counts[t as usize * classes + p as usize] += 1;
        }
        Ok(Confusion { classes, counts })
    }

    fn right(&self, k: usize) -> u64 {
        self.counts[k * self.classes + k]
    }

    /// Cells whose true class is `k`.
    pub fn true_count(&self, k: usize) -> u64 {
        self.counts[k * self.classes..(k + 1) * self.classes].iter().sum()
    }

    /// Cells predicted to be of class `k`.
    pub fn predicted_count(&self, k: usize) -> u64 {
        (0..self.classes).map(|t| self.counts[t * self.classes + k]).sum()
    }

    /// Number of cells.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    fn correct(&self) -> u64 {
        (0..self.classes).map(|k| self.right(k)).sum()
    }

    /// Share of cells with the right class.
    pub fn accuracy(&self) -> f64 {
        self.correct() as f64 / self.total() as f64
    }

    /// Mean recall over the classes that truly occur.
    pub fn balanced_accuracy(&self) -> f64 {
        let present: Vec<usize> = (0..self.classes).filter(|&k| self.true_count(k) > 0).collect();
        present.iter().map(|&k| self.class(k).recall).sum::<f64>() / present.len() as f64
    }

    /// Cohen's kappa: agreement beyond chance. NaN where chance alone agrees everywhere.
    pub fn cohen_kappa(&self) -> f64 {
        let n = self.total() as f64;
        let (mut observed, mut expected) = (0.0, 0.0);
        for t in 0..self.classes {
            for p in (0..self.classes).filter(|&p| p != t) {
                observed += self.counts[t * self.classes + p] as f64;
                expected += self.true_count(t) as f64 * self.predicted_count(p) as f64 / n;
            }
        }
        1.0 - observed / expected
    }

    /// Matthews' correlation coefficient for several classes (Gorodkin 2004); 0 where undefined.
    pub fn mcc(&self) -> f64 {
        let n = i128::from(self.total());
        let (mut both, mut truth, mut predicted) = (0i128, 0i128, 0i128);
        for k in 0..self.classes {
            let (t, p) = (i128::from(self.true_count(k)), i128::from(self.predicted_count(k)));
            both += t * p;
            truth += t * t;
            predicted += p * p;
        }
        let covariance = i128::from(self.correct()) * n - both;
        let spread = (n * n - truth) as f64 * (n * n - predicted) as f64;
        if spread == 0.0 { 0.0 } else { covariance as f64 / spread.sqrt() }
    }

    /// Precision, recall and F1 of class `k`.
    pub fn class(&self, k: usize) -> Scores {
        let (right, truth, predicted) = (self.right(k), self.true_count(k), self.predicted_count(k));
        Scores {
            precision: ratio(right, predicted),
            recall: ratio(right, truth),
            f1: ratio(2 * right, truth + predicted),
        }
    }

    /// Plain mean over the classes that occur as truth or as prediction.
    pub fn macro_average(&self) -> Scores {
        self.average(|k| if self.true_count(k) + self.predicted_count(k) > 0 { 1.0 } else { 0.0 })
    }

    /// Mean weighted by how often a class truly occurs.
    pub fn weighted_average(&self) -> Scores {
        self.average(|k| self.true_count(k) as f64)
    }

    /// From the pooled counts; with one label per cell all three equal the accuracy.
    pub fn micro_average(&self) -> Scores {
        let accuracy = self.accuracy();
        Scores { precision: accuracy, recall: accuracy, f1: accuracy }
    }

    fn average(&self, weight: impl Fn(usize) -> f64) -> Scores {
        let (mut sum, mut total) = (Scores::default(), 0.0);
        for k in 0..self.classes {
            let (w, s) = (weight(k), self.class(k));
            total += w;
            sum.precision += w * s.precision;
            sum.recall += w * s.recall;
            sum.f1 += w * s.f1;
        }
        Scores { precision: sum.precision / total, recall: sum.recall / total, f1: sum.f1 / total }
    }
}

fn ratio(a: u64, b: u64) -> f64 {
    if b == 0 { 0.0 } else { a as f64 / b as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn balanced_accuracy_ignores_classes_without_truth() {
        let c = Confusion::new(&[0, 0, 0, 1], &[0, 0, 2, 1], 3).unwrap();
        assert!((c.balanced_accuracy() - (2.0 / 3.0 + 1.0) / 2.0).abs() < 1e-15);
        assert_eq!(c.accuracy(), 0.75);
        assert_eq!(c.macro_average().recall, (2.0 / 3.0 + 1.0 + 0.0) / 3.0);
    }

    #[test]
    fn one_class_everywhere_is_undefined_not_a_panic() {
        let c = Confusion::new(&[0, 0], &[0, 0], 2).unwrap();
        assert!(c.cohen_kappa().is_nan());
        assert_eq!((c.mcc(), c.accuracy()), (0.0, 1.0));
    }

    #[test]
    fn codes_beyond_the_classes_are_refused() {
        assert!(Confusion::new(&[0, 3], &[0, 1], 3).err().unwrap().to_string().contains("class 3"));
        assert!(Confusion::new(&[], &[], 3).is_err());
    }
}
