//! Does a probability of 0.8 mean right in eight of ten? May use: error, labels, ranking.

use super::labels::{check_length, check_some};
use super::ranking::auroc;
use crate::error::{Error, Result};

/// How confidences are put into bins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binning {
    /// Equal widths, `bin = min(floor(M conf), M - 1)`: `[lo, hi)`, the last one closed.
    WidthFloor,
    /// Equal widths, `bin = ceil(M conf)`: `(lo, hi]` (Guo et al. 2017), a 0 in the first.
    WidthCeil,
    /// Equal sizes: sorted by confidence (ties by index), the first `n mod M` bins take one more.
    Mass,
}

/// One bin of a reliability diagram.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bin {
    /// Cells in the bin.
    pub cells: usize,
    /// Mean confidence; 0 in an empty bin.
    pub confidence: f64,
    /// Share of cells that are right; 0 in an empty bin.
    pub accuracy: f64,
}

/// Confidence against accuracy, bin by bin.
pub struct Reliability {
    /// The bins, in order of confidence.
    pub bins: Vec<Bin>,
    cells: usize,
}

impl Reliability {
    /// Bins `confidence` (each in [0, 1]) and asks in how many cells of a bin `correct` holds.
    ///
    /// # Errors
    /// `Error::Shape` if the lengths differ; `Error::Argument` without cells or bins, or for a
    /// confidence that is no probability.
    pub fn new(confidence: &[f64], correct: &[bool], bins: usize, binning: Binning) -> Result<Reliability> {
        const OP: &str = "calibration";
        check_some(OP, confidence.len())?;
        check_length(OP, "outcomes", confidence.len(), correct.len())?;
        if bins == 0 {
            return Err(Error::Argument { op: OP, what: "needs at least one bin".into() });
        }
        // A float32 softmax may exceed 1 by its rounding.
        if let Some(i) = confidence.iter().position(|c| !(0.0..=1.000_001).contains(c)) {
            return Err(Error::Argument {
                op: OP,
                what: format!("confidence {} of cell {i} is not a probability", confidence[i]),
            });
        }
        let mut sums = vec![(0usize, 0.0, 0usize); bins];
        for (cell, bin) in assign(confidence, bins, binning) {
            let (cells, total, right) = &mut sums[bin];
            *cells += 1;
            *total += confidence[cell];
            *right += usize::from(correct[cell]);
        }
        let summarise = |(cells, total, right): (usize, f64, usize)| match cells {
            0 => Bin::default(),
            n => Bin { cells: n, confidence: total / n as f64, accuracy: right as f64 / n as f64 },
        };
        Ok(Reliability { bins: sums.into_iter().map(summarise).collect(), cells: confidence.len() })
    }

    /// Expected calibration error: `sum_b n_b / N |accuracy_b - confidence_b|`.
    pub fn ece(&self) -> f64 {
        self.bins.iter().map(|b| b.cells as f64 / self.cells as f64 * (b.accuracy - b.confidence).abs()).sum()
    }

    /// Maximum calibration error, over bins that hold a cell.
    pub fn mce(&self) -> f64 {
        self.bins.iter().filter(|b| b.cells > 0).map(|b| (b.accuracy - b.confidence).abs()).fold(0.0, f64::max)
    }
}

/// (cell, bin) in the order in which a bin's cells are summed.
fn assign(confidence: &[f64], bins: usize, binning: Binning) -> Vec<(usize, usize)> {
    let m = bins as f64;
    match binning {
        Binning::WidthFloor => {
            confidence.iter().map(|c| ((c * m).floor() as usize).min(bins - 1)).enumerate().collect()
        }
        Binning::WidthCeil => {
            confidence.iter().map(|c| ((c * m).ceil() as usize).clamp(1, bins) - 1).enumerate().collect()
        }
        Binning::Mass => {
            let mut order: Vec<usize> = (0..confidence.len()).collect();
            order.sort_by(|&a, &b| confidence[a].total_cmp(&confidence[b]));
            let (size, larger) = (order.len() / bins, order.len() % bins);
            let bin_of = |rank: usize| match rank < larger * (size + 1) {
                true => rank / (size + 1),
                false => larger + (rank - larger * (size + 1)) / size,
            };
            order.iter().enumerate().map(|(rank, &cell)| (cell, bin_of(rank))).collect()
        }
    }
}

/// ECE of one binning; see [`Reliability`].
pub fn ece(confidence: &[f64], correct: &[bool], bins: usize, binning: Binning) -> Result<f64> {
    Ok(Reliability::new(confidence, correct, bins, binning)?.ece())
}

/// Class probabilities of several cells, with what is true.
pub struct Probabilities<'a> {
    values: &'a [f64],
    classes: usize,
    truth: &'a [u32],
}

impl<'a> Probabilities<'a> {
    /// `values` is `[cells, classes]`, row-major; `truth` has a class below `classes` per cell.
    ///
    /// # Errors
    /// `Error::Shape` if the sizes disagree, `Error::Argument` for a class out of range, a value
    /// that is no probability, or no cell.
    pub fn new(values: &'a [f64], classes: usize, truth: &'a [u32]) -> Result<Self> {
        const OP: &str = "probabilities";
        check_some(OP, truth.len())?;
        check_length(OP, "probabilities", truth.len() * classes, values.len())?;
        if let Some(i) = truth.iter().position(|&t| t as usize >= classes) {
            let what = format!("cell {i} has class {}, beyond {classes} classes", truth[i]);
            return Err(Error::Argument { op: OP, what });
        }
        if let Some(i) = values.iter().position(|p| !(0.0..=1.000_001).contains(p)) {
            let what = format!("value {} of cell {} is not a probability", values[i], i / classes);
            return Err(Error::Argument { op: OP, what });
        }
        Ok(Probabilities { values, classes, truth })
    }

    fn rows(&self) -> impl Iterator<Item = (&'a [f64], usize)> {
        self.values.chunks_exact(self.classes).zip(self.truth.iter().map(|&t| t as usize))
    }

    /// Per cell the most probable class (ties take the lowest) and its probability.
    pub fn top(&self) -> (Vec<u32>, Vec<f64>) {
        self.rows()
            .map(|(row, _)| {
                let best = (1..row.len()).fold(0, |best, k| if row[k] > row[best] { k } else { best });
                (best as u32, row[best])
            })
            .unzip()
    }

    /// Reliability of the most probable class.
    pub fn reliability(&self, bins: usize, binning: Binning) -> Result<Reliability> {
        let (label, confidence) = self.top();
        let correct: Vec<bool> = label.iter().zip(self.truth).map(|(l, t)| l == t).collect();
        Reliability::new(&confidence, &correct, bins, binning)
    }

    /// Mean over classes of the ECE of "this cell is of class k".
    pub fn classwise_ece(&self, bins: usize, binning: Binning) -> Result<f64> {
        let mut sum = 0.0;
        for k in 0..self.classes {
            let (p, is_k): (Vec<f64>, Vec<bool>) = self.rows().map(|(row, t)| (row[k], t == k)).unzip();
            sum += ece(&p, &is_k, bins, binning)?;
        }
        Ok(sum / self.classes as f64)
    }

    /// Mean over cells of `sum_k (p_k - 1[y = k])^2`; between 0 and 2.
    pub fn brier(&self) -> f64 {
        let cell = |(row, t): (&[f64], usize)| -> f64 {
            row.iter().enumerate().map(|(k, p)| (p - f64::from(u8::from(k == t))).powi(2)).sum()
        };
        self.rows().map(cell).sum::<f64>() / self.truth.len() as f64
    }

    /// Mean of `-ln p_y`, nats; infinite if a true class has probability 0.
    pub fn nll(&self) -> f64 {
        self.rows().map(|(row, t)| -row[t].ln()).sum::<f64>() / self.truth.len() as f64
    }

    /// Share of cells whose class is among the `k` most probable (ties take the lowest classes).
    pub fn top_k_accuracy(&self, k: usize) -> f64 {
        let hit = |(row, t): (&[f64], usize)| {
            let ahead = (0..row.len()).filter(|&j| row[j] > row[t] || (row[j] == row[t] && j < t)).count();
            usize::from(ahead < k)
        };
        self.rows().map(hit).sum::<usize>() as f64 / self.truth.len() as f64
    }

    /// Mean over classes of the AUROC of `p_k` for class k against the rest.
    pub fn auroc_ovr_macro(&self) -> Result<f64> {
        let mut sum = 0.0;
        for k in 0..self.classes {
            let (p, is_k): (Vec<f64>, Vec<bool>) = self.rows().map(|(row, t)| (row[k], t == k)).unzip();
            sum += auroc(&is_k, &p)?;
        }
        Ok(sum / self.classes as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIDENCE: [f64; 4] = [0.93, 0.83, 0.74, 0.62];
    const CORRECT: [bool; 4] = [true, true, false, true];

    #[test]
    fn check_15_ece_values() {
        let width = ece(&CONFIDENCE, &CORRECT, 20, Binning::WidthFloor).unwrap();
        assert!((width - 0.34).abs() < 1e-12, "{width}");
        let mass = ece(&CONFIDENCE, &CORRECT, 2, Binning::Mass).unwrap();
        assert!((mass - 0.15).abs() < 1e-12, "{mass}");
    }

    #[test]
    fn check_15_confidence_one_falls_in_the_last_bin() {
        for binning in [Binning::WidthFloor, Binning::WidthCeil, Binning::Mass] {
            let r = Reliability::new(&[1.0, 0.02], &[true, false], 20, binning).unwrap();
            let last = if binning == Binning::Mass { 1 } else { 19 };
            assert_eq!(r.bins[last], Bin { cells: 1, confidence: 1.0, accuracy: 1.0 }, "{binning:?}");
        }
        assert!(ece(&[1.2], &[true], 20, Binning::WidthFloor).is_err());
        assert!(ece(&[f64::NAN], &[true], 20, Binning::WidthFloor).is_err());
    }

    #[test]
    fn check_15_perfect_calibration_is_zero() {
        // Eight cells at 0.75 of which six are right, and two at 1 that are right.
        let confidence = [0.75, 0.75, 0.75, 0.75, 0.75, 0.75, 0.75, 0.75, 1.0, 1.0];
        let correct = [true, true, true, true, true, true, false, false, true, true];
        for binning in [Binning::WidthFloor, Binning::WidthCeil] {
            assert_eq!(ece(&confidence, &correct, 20, binning).unwrap(), 0.0);
        }
        assert_eq!(ece(&confidence[..8], &correct[..8], 1, Binning::Mass).unwrap(), 0.0);
    }

    #[test]
    fn the_two_width_binnings_differ_on_a_border_only() {
        let floor = Reliability::new(&[0.5], &[true], 2, Binning::WidthFloor).unwrap();
        let ceil = Reliability::new(&[0.5], &[true], 2, Binning::WidthCeil).unwrap();
        assert_eq!((floor.bins[1].cells, ceil.bins[0].cells), (1, 1));
    }

    #[test]
    fn mass_bins_differ_by_one_cell_at_most() {
        for (n, m) in [(10, 3), (3, 5), (7, 7), (1, 1)] {
            let confidence = vec![0.5; n];
            let r = Reliability::new(&confidence, &vec![true; n], m, Binning::Mass).unwrap();
            let sizes: Vec<usize> = r.bins.iter().map(|b| b.cells).collect();
            let expected: Vec<usize> = (0..m).map(|b| n / m + usize::from(b < n % m)).collect();
            assert_eq!(sizes, expected);
        }
    }
}
