//! The methods that a network has to beat (CLAMS specification, section 6): fitted in seconds, on the
//! features that the annotator prepares.
//!
//! May use: `analysis`, `models::run::State`, `rng`. One file per method; each is a [`Classifier`]. All
//! work in binary64 on numbers that a model file holds (binary32), so that a model in memory and one
//! read back give the same bits.
#![forbid(unsafe_code)]

pub mod anchors;
mod knn;
pub mod lda;
mod logreg;
mod platt;
mod scpred;
mod svm;

use crate::error::{Error, Result};
use crate::models::run::State;

/// The baselines, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Baseline {
    /// Linear discriminant analysis, a Gaussian per type with one covariance for all.
    Lda,
    /// Vote of the nearest neighbours among corrected components.
    Knn,
    /// Multinomial logistic regression on the genes.
    Logreg,
    /// Linear support vector machine with probabilities.
    Svm,
    /// Nearest neighbours among the components of the reference alone.
    Ingest,
    /// Support vector machine with a Gaussian kernel on informative components.
    Scpred,
    /// Labels carried over by mutual nearest neighbours.
    Anchors,
}

/// Labelled cells to learn from.
#[derive(Clone, Debug)]
pub struct Cells {
    /// `[n, width]`, row-major.
    pub x: Vec<f64>,
    /// Features of a cell.
    pub width: usize,
    /// Class of each cell.
    pub y: Vec<u32>,
    /// Number of classes.
    pub classes: usize,
}

/// What a classifier says of cells.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// `[n, classes]`, rows summing to 1.
    pub probs: Vec<f64>,
    /// Number of classes.
    pub classes: usize,
    /// `log p(x)` up to a constant, of methods that have one.
    pub log_px: Option<Vec<f64>>,
}

/// A fitted baseline.
pub trait Classifier: Send + Sync {
    /// Class probabilities of cells `[n, width]`.
    ///
    /// # Errors
    /// `Error::Shape` for another width.
    fn predict(&self, x: &[f64]) -> Result<Prediction>;

    /// Adds what it has learnt to what a model file holds.
    fn save(&self, state: &mut State);
}

impl Baseline {
    /// All of them.
    pub const ALL: [Baseline; 7] = [
        Baseline::Lda,
        Baseline::Knn,
        Baseline::Logreg,
        Baseline::Svm,
        Baseline::Ingest,
        Baseline::Scpred,
        Baseline::Anchors,
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Baseline::Lda => "lda",
            Baseline::Knn => "knn",
            Baseline::Logreg => "logreg",
            Baseline::Svm => "svm",
            Baseline::Ingest => "ingest",
            Baseline::Scpred => "scpred",
            Baseline::Anchors => "anchors",
        }
    }

    /// Learns from labelled cells.
    ///
    /// # Errors
    /// `Error::Data` for no cells, labels beyond the classes, values that are not finite.
    pub fn fit(self, cells: &Cells) -> Result<Box<dyn Classifier>> {
        cells.check()?;
        Ok(match self {
            Baseline::Lda => {
                let d = cells.width as f64;
                Box::new(lda::Lda::fit(cells, d / (cells.len() as f64 + d))?)
            }
            Baseline::Knn => Box::new(knn::Knn::fit(cells)),
            Baseline::Logreg => Box::new(logreg::Logreg::fit(cells)?),
            Baseline::Svm => Box::new(svm::Svm::fit(cells)?),
            Baseline::Ingest => Box::new(knn::Knn::with(cells, INGEST_NEIGHBOURS)),
            Baseline::Scpred => Box::new(scpred::ScPred::fit(cells)?),
            Baseline::Anchors => Box::new(anchors::Anchors::fit(cells)),
        })
    }

    /// Reads what [`Classifier::save`] wrote.
    ///
    /// # Errors
    /// `Error::Argument` naming what is missing or has another shape.
    pub fn load(self, state: &State, width: usize, classes: usize) -> Result<Box<dyn Classifier>> {
        Ok(match self {
            Baseline::Lda => Box::new(lda::Lda::load_from(state, PREFIX, width, classes)?),
            Baseline::Knn | Baseline::Ingest => Box::new(knn::Knn::load(state, width, classes)?),
            Baseline::Logreg => Box::new(logreg::Logreg::load(state, width, classes)?),
            Baseline::Svm => Box::new(svm::Svm::load(state, width, classes)?),
            Baseline::Scpred => Box::new(scpred::ScPred::load(state, width, classes)?),
            Baseline::Anchors => Box::new(anchors::Anchors::load(state, width, classes)?),
        })
    }
}

impl Cells {
    /// Number of cells.
    pub fn len(&self) -> usize {
        self.y.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.y.is_empty()
    }

    /// Some of the cells.
    pub fn select(&self, rows: &[usize]) -> Cells {
        let w = self.width;
        Cells {
            x: rows.iter().flat_map(|&r| self.x[r * w..(r + 1) * w].iter().copied()).collect(),
            y: rows.iter().map(|&r| self.y[r]).collect(),
            ..*self
        }
    }

    fn check(&self) -> Result<()> {
        let fine = !self.is_empty()
            && self.width > 0
            && self.x.len() == self.len() * self.width
            && self.y.iter().all(|&y| (y as usize) < self.classes);
        if fine && self.x.iter().all(|v| v.is_finite()) {
            return Ok(());
        }
        Err(Error::data(
            "training cells",
            format!("{} values in {} features for {} labels", self.x.len(), self.width, self.len()),
            "give finite features and one known label per cell",
        ))
    }
}

/// Voters of Ingest (the default of scanpy's).
const INGEST_NEIGHBOURS: usize = 10;

/// What every method keeps its numbers under in a model file.
const PREFIX: &str = "baseline.";

/// Numbers as a model file holds them.
fn stored(values: &[f64]) -> Vec<f64> {
    values.iter().map(|&v| f64::from(v as f32)).collect()
}

fn put(state: &mut State, name: &str, shape: &[usize], values: &[f64]) {
    state.set(name, shape, values.iter().map(|&v| v as f32).collect());
}

fn get(state: &State, name: &str, shape: &[usize]) -> Result<Vec<f64>> {
    Ok(state.tensor(name, shape)?.iter().map(|&v| f64::from(v)).collect())
}

/// The shape of a tensor whose number of rows the file decides: `[rows, columns]`.
fn rows_of(state: &State, name: &str, columns: usize) -> Result<[usize; 2]> {
    let found = state.tensors.get(name).map(|(shape, _)| shape.as_slice());
    match found {
        Some(&[rows, c]) if c == columns => Ok([rows, c]),
        _ => Err(Error::Argument { op: "model file", what: format!("{name}: {found:?}, expected rows of {columns}") }),
    }
}

/// Rows `[n, width]`, or an error.
fn require_rows(x: &[f64], width: usize) -> Result<()> {
    if width > 0 && x.len().is_multiple_of(width) {
        return Ok(());
    }
    Err(Error::Shape { op: "predict", expected: format!("rows of {width} values"), found: x.len().to_string() })
}

/// Makes each row `[classes]` of logits probabilities; returns `logsumexp` of each row.
fn softmax_rows(z: &mut [f64], classes: usize) -> Vec<f64> {
    let soften = |row: &mut [f64]| {
        let most = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        row.iter_mut().for_each(|v| *v = crate::analysis::linalg::exp(*v - most));
        let sum: f64 = row.iter().sum();
        row.iter_mut().for_each(|v| *v /= sum);
        most + crate::analysis::linalg::ln(sum)
    };
    z.chunks_exact_mut(classes.max(1)).map(soften).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Stream, stream};

    /// Three classes around corners of a cube.
    fn cells(n: usize, part: u32) -> Cells {
        let mut rng = Stream::new(5, stream::TEST).part(part).rng();
        let y: Vec<u32> = (0..n as u32).map(|i| i % 3).collect();
        let x =
            y.iter().flat_map(|&y| (0..5).map(|j| rng.normal() + if j == y { 5.0 } else { 0.0 }).collect::<Vec<_>>());
        Cells { x: x.collect(), width: 5, y, classes: 3 }
    }

    fn labels(said: &Prediction) -> Vec<u32> {
        let most = |row: &[f64]| (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap_or(0) as u32;
        said.probs.chunks(said.classes).map(most).collect()
    }

    #[test]
    fn a_saved_and_loaded_method_says_the_same_bit_for_bit() {
        let (reference, query) = (cells(90, 0), cells(40, 1));
        for baseline in Baseline::ALL {
            let fit = baseline.fit(&reference).unwrap();
            let said = fit.predict(&query.x).unwrap();
            let right = labels(&said).iter().zip(&query.y).filter(|(a, b)| a == b).count();
            assert!(right >= 38, "{}: {right} of 40", baseline.name());
            assert!(
                said.probs.chunks(3).all(|row| (row.iter().sum::<f64>() - 1.0).abs() < 1e-9),
                "{}",
                baseline.name()
            );
            let mut state = State { json: serde_json::json!({}), ..State::default() };
            fit.save(&mut state);
            let bytes = state.to_bytes().unwrap();
            let state = State::from_bytes(&bytes).unwrap();
            let again = baseline.load(&state, 5, 3).unwrap().predict(&query.x).unwrap();
            assert_eq!(again, said, "{}", baseline.name());
            assert!(baseline.load(&state, 6, 3).is_err() && baseline.load(&State::default(), 5, 3).is_err());
            assert!(fit.predict(&query.x[1..]).is_err(), "{}", baseline.name());
        }
    }

    /// Check 21 of the CLAMS specification.
    #[test]
    fn check_21_one_neighbour_gives_a_copy_of_the_reference_its_labels() {
        let reference = cells(60, 0);
        let said = knn::Knn::with(&reference, 1).predict(&stored(&reference.x)).unwrap();
        assert_eq!(labels(&said), reference.y);
    }

    #[test]
    fn what_cannot_be_learnt_from_is_said() {
        let mut odd = cells(9, 0);
        odd.x[3] = f64::NAN;
        let empty = Cells { x: vec![], y: vec![], ..cells(9, 0) };
        for baseline in Baseline::ALL {
            assert!(baseline.fit(&odd).is_err() && baseline.fit(&empty).is_err());
        }
    }

    #[test]
    fn logistic_regression_is_at_its_optimum() {
        let reference = cells(60, 0);
        let mut state = State::default();
        Baseline::Logreg.fit(&reference).unwrap().save(&mut state);
        // The gradient by the intercepts is the sum of p - onehot: 0 at the optimum.
        let said = Baseline::Logreg.load(&state, 5, 3).unwrap().predict(&reference.x).unwrap();
        for class in 0..3 {
            let p: f64 = said.probs.iter().skip(class).step_by(3).sum();
            assert!((p - 20.0).abs() < 0.01, "{p}");
        }
    }
}
