//! Vote of the nearest reference cells. How far they are is a score that every run has.

use super::{Cells, Classifier, Prediction, get, put, require_rows, rows_of, stored};
use crate::analysis::neighbors::knn_query;
use crate::error::{Error, Result};
use crate::models::run::State;

/// Neighbours that vote.
const NEIGHBOURS: usize = 15;

/// The reference itself.
pub(super) struct Knn {
    width: usize,
    classes: usize,
    k: usize,
    x: Vec<f64>,
    y: Vec<u32>,
}

impl Knn {
    pub fn fit(cells: &Cells) -> Knn {
        Knn::with(cells, NEIGHBOURS)
    }

    pub fn with(cells: &Cells, k: usize) -> Knn {
        Knn { width: cells.width, classes: cells.classes, k, x: stored(&cells.x), y: cells.y.clone() }
    }

    pub fn load(state: &State, width: usize, classes: usize) -> Result<Knn> {
        let [n, _] = rows_of(state, "baseline.x", width)?;
        let y = state.words.get("baseline.y").filter(|y| y.len() == n && y.iter().all(|&v| (v as usize) < classes));
        let wrong = || Error::Argument { op: "model file", what: "the labels do not fit the cells".into() };
        let k = state.json["baseline"]["k"].as_u64().ok_or_else(wrong)? as usize;
        Ok(Knn { width, classes, k, x: get(state, "baseline.x", &[n, width])?, y: y.ok_or_else(wrong)?.clone() })
    }
}

impl Classifier for Knn {
    /// Shares of the votes; the lowest class wins among equals.
    fn predict(&self, x: &[f64]) -> Result<Prediction> {
        require_rows(x, self.width)?;
        let k = self.k.min(self.y.len());
        let near = knn_query(x, &self.x, self.width, k)?;
        let mut probs = vec![0.0; x.len() / self.width * self.classes];
        for (row, voters) in probs.chunks_exact_mut(self.classes).zip(near.indices.chunks_exact(k)) {
            voters.iter().for_each(|&j| row[self.y[j as usize] as usize] += 1.0 / k as f64);
        }
        Ok(Prediction { probs, classes: self.classes, log_px: None })
    }

    fn save(&self, state: &mut State) {
        put(state, "baseline.x", &[self.y.len(), self.width], &self.x);
        state.words.insert("baseline.y".into(), self.y.clone());
        state.json["baseline"] = serde_json::json!({ "k": self.k });
    }
}
