//! Labels carried over by anchors: pairs of a reference and a query cell that are each other's nearest
//! neighbours (after Stuart et al. 2019, doi:10.1016/j.cell.2019.05.031; the defaults of Seurat 4, compact).
//!
//! What is said of a cell depends on the other cells of the query: they are given together.

use super::{Cells, Classifier, Prediction, get, put, require_rows, rows_of, stored};
use crate::analysis::conformal::quantile;
use crate::analysis::linalg::{exp, normalise_rows};
use crate::analysis::neighbors::{Neighbors, knn_query};
use crate::error::{Error, Result};
use crate::models::run::State;
use rayon::prelude::*;

/// Components; the features behind them are expression of the genes that load most on them.
pub const COMPONENTS: usize = 30;
/// Genes behind the components.
pub const GENES: usize = 200;
/// Neighbours that may be mutual.
const MUTUAL: usize = 5;
/// An anchor's query cell is among so many nearest of its reference cell by expression.
const FILTER: usize = 200;
/// Neighbourhoods whose overlap is an anchor's score.
const SHARED: usize = 30;
/// Anchor cells that vote on a query cell.
const VOTERS: usize = 50;

/// The reference itself.
pub(super) struct Anchors {
    width: usize,
    classes: usize,
    x: Vec<f64>,
    y: Vec<u32>,
}

/// A reference cell, a query cell, and how far their neighbourhoods agree (0 to 1).
struct Anchor {
    reference: usize,
    query: usize,
    score: f64,
}

impl Anchors {
    pub fn fit(cells: &Cells) -> Anchors {
        Anchors { width: cells.width, classes: cells.classes, x: stored(&cells.x), y: cells.y.clone() }
    }

    pub fn load(state: &State, width: usize, classes: usize) -> Result<Anchors> {
        let [n, _] = rows_of(state, "baseline.x", width)?;
        let y = state.words.get("baseline.y").filter(|y| y.len() == n && y.iter().all(|&v| (v as usize) < classes));
        let wrong = || Error::Argument { op: "model file", what: "the labels do not fit the cells".into() };
        Ok(Anchors { width, classes, x: get(state, "baseline.x", &[n, width])?, y: y.ok_or_else(wrong)?.clone() })
    }

    fn anchors(&self, x: &[f64]) -> Result<Vec<Anchor>> {
        let d = COMPONENTS.min(self.width);
        let unit = |x: &[f64], from: usize, to: usize| {
            let mut part = columns(x, self.width, from, to);
            normalise_rows(&mut part, to - from);
            part
        };
        let (ours, theirs) = (unit(&self.x, 0, d), unit(x, 0, d));
        let (n, m) = (self.y.len(), x.len() / self.width);
        let to_query = knn_query(&ours, &theirs, d, SHARED.min(m))?;
        let to_reference = knn_query(&theirs, &ours, d, SHARED.min(n))?;
        let (among_ours, among_theirs) =
            (knn_query(&ours, &ours, d, SHARED.min(n))?, knn_query(&theirs, &theirs, d, SHARED.min(m))?);
        let near = |found: &Neighbors, i: usize| -> Vec<u32> { found.row(i).0[..MUTUAL.min(found.k)].to_vec() };
        let mut pairs: Vec<(usize, usize)> = Vec::new();
        for r in 0..n {
            for q in near(&to_query, r).into_iter().map(|q| q as usize) {
                if near(&to_reference, q).contains(&(r as u32)) {
                    pairs.push((r, q));
                }
            }
        }
        if n >= FILTER && m >= FILTER && self.width > d {
            let (ours, theirs) = (unit(&self.x, d, self.width), unit(x, d, self.width));
            let alike = knn_query(&ours, &theirs, self.width - d, FILTER)?;
            pairs.retain(|&(r, q)| alike.row(r).0.contains(&(q as u32)));
        }
        let shared = |a: &[u32], b: &[u32]| a.iter().filter(|v| b.contains(v)).count() as f64;
        let overlap = |&(r, q): &(usize, usize)| {
            shared(among_ours.row(r).0, to_reference.row(q).0) + shared(to_query.row(r).0, among_theirs.row(q).0)
        };
        let raw: Vec<f64> = pairs.par_iter().map(overlap).collect();
        if raw.is_empty() {
            return Ok(Vec::new());
        }
        let (low, high) = (quantile(&raw, 0.01)?, quantile(&raw, 0.9)?);
        let score = |v: f64| if high > low { ((v - low) / (high - low)).clamp(0.0, 1.0) } else { 1.0 };
        let all = pairs.into_iter().zip(raw);
        Ok(all.map(|((reference, query), v)| Anchor { reference, query, score: score(v) }).collect())
    }
}

impl Classifier for Anchors {
    fn predict(&self, x: &[f64]) -> Result<Prediction> {
        require_rows(x, self.width)?;
        let (c, m) = (self.classes, x.len() / self.width);
        let mut probs = vec![0.0; m * c];
        let anchors = if m == 0 { Vec::new() } else { self.anchors(x)? };
        // The query cells that are part of anchors, each with all its anchors.
        let mut of_cell: Vec<(usize, Vec<&Anchor>)> = Vec::new();
        let mut sorted: Vec<&Anchor> = anchors.iter().collect();
        sorted.sort_by_key(|a| (a.query, a.reference));
        for anchor in sorted {
            match of_cell.last_mut() {
                Some((query, all)) if *query == anchor.query => all.push(anchor),
                _ => of_cell.push((anchor.query, vec![anchor])),
            }
        }
        if !of_cell.is_empty() {
            let d = COMPONENTS.min(self.width);
            let plain = columns(x, self.width, 0, d);
            let voters: Vec<f64> =
                of_cell.iter().flat_map(|(query, _)| plain[query * d..(query + 1) * d].iter().copied()).collect();
            let k = VOTERS.min(of_cell.len());
            let near = knn_query(&plain, &voters, d, k)?;
            for (i, row) in probs.chunks_exact_mut(c).enumerate() {
                let (cells, far) = near.row(i);
                for (&cell, distance) in cells.iter().zip(far) {
                    let closeness = if far[k - 1] > 0.0 { 1.0 - distance / far[k - 1] } else { 1.0 };
                    for anchor in &of_cell[cell as usize].1 {
                        row[self.y[anchor.reference] as usize] += 1.0 - exp(-closeness * anchor.score / 4.0);
                    }
                }
            }
        }
        probs.chunks_exact_mut(c).for_each(super::svm::share);
        Ok(Prediction { probs, classes: c, log_px: None })
    }

    fn save(&self, state: &mut State) {
        put(state, "baseline.x", &[self.y.len(), self.width], &self.x);
        state.words.insert("baseline.y".into(), self.y.clone());
    }
}

/// Columns `from..to` of rows of `width`.
fn columns(x: &[f64], width: usize, from: usize, to: usize) -> Vec<f64> {
    x.chunks_exact(width).flat_map(|row| row[from..to].iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Stream, stream};

    fn cells(n: usize, part: u32) -> Cells {
        let mut rng = Stream::new(11, stream::TEST).part(part).rng();
        let y: Vec<u32> = (0..n as u32).map(|i| i % 3).collect();
        let x =
            y.iter().flat_map(|&y| (0..4).map(|j| rng.normal() + if j == y { 6.0 } else { 0.0 }).collect::<Vec<_>>());
        Cells { x: x.collect(), width: 4, y, classes: 3 }
    }

    /// Check 21 of the CLAMS specification.
    #[test]
    fn check_21_label_scores_sum_to_one_and_follow_the_types() {
        let (reference, query) = (cells(90, 0), cells(60, 1));
        let said = Anchors::fit(&reference).predict(&query.x).unwrap();
        let mut right = 0;
        for (row, &y) in said.probs.chunks(3).zip(&query.y) {
            assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            right += usize::from(row.iter().all(|p| *p <= row[y as usize]));
        }
        assert!(right >= 57, "{right} of 60");
    }

    #[test]
    fn no_cells_and_single_cells_are_answered() {
        let fit = Anchors::fit(&cells(9, 0));
        assert!(fit.predict(&[]).unwrap().probs.is_empty());
        assert_eq!(fit.predict(&[0.0; 4]).unwrap().probs.len(), 3);
        assert!(fit.predict(&[0.0; 3]).is_err());
    }
}
