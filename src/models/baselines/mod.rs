//! The methods that a network has to beat (CLAMS specification, section 6): fitted in seconds, on the
//! features that the annotator prepares.
//!
//! May use: `analysis`, `models::run::State`, `rng`. One file per method; each is a [`Classifier`]. All
//! work in binary64 on numbers that a model file holds (binary32), so that a model in memory and one
//! read back give the same bits.
#![forbid(unsafe_code)]

mod knn;
pub mod lda;
mod logreg;

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
    pub const ALL: [Baseline; 3] = [Baseline::Lda, Baseline::Knn, Baseline::Logreg];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Baseline::Lda => "lda",
            Baseline::Knn => "knn",
            Baseline::Logreg => "logreg",
        }
    }

    /// Learns from labelled cells.
    ///
    /// # Errors
    /// `Error::Data` for no cells, labels beyond the classes, values that are not finite.
    pub fn fit(self, cells: &Cells) -> Result<Box<dyn Classifier>> {
        cells.check()?;
        Ok(match self {
            Baseline::Lda => Box::new(lda::Lda::fit(cells)?),
            Baseline::Knn => Box::new(knn::Knn::fit(cells)),
            Baseline::Logreg => Box::new(logreg::Logreg::fit(cells)?),
        })
    }

    /// Reads what [`Classifier::save`] wrote.
    ///
    /// # Errors
    /// `Error::Argument` naming what is missing or has another shape.
    pub fn load(self, state: &State, width: usize, classes: usize) -> Result<Box<dyn Classifier>> {
        Ok(match self {
            Baseline::Lda => Box::new(lda::Lda::load_from(state, PREFIX, width, classes)?),
            Baseline::Knn => Box::new(knn::Knn::load(state, width, classes)?),
            Baseline::Logreg => Box::new(logreg::Logreg::load(state, width, classes)?),
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
