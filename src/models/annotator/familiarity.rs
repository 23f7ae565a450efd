//! How much a cell looks like the reference: what the scores are made from.
//!
//! May use: `models::baselines::lda`, `analysis::neighbors`. No score finds every unseen type: the
//! probability of the label fails for types near a known one, distances fail for types between known
//! ones. Every run therefore has all of them ([`super::score`]), calibrated on the same held-out cells.

use super::score::{Kind, Ladder, Score, Scores};
use super::trained::Answers;
use crate::analysis::neighbors::{knn, knn_query};
use crate::error::Result;
use crate::models::baselines::Cells;
use crate::models::baselines::lda::Lda;
use crate::models::run::State;

/// Reference cells whose distance counts.
const NEIGHBOURS: usize = 15;
/// Reference cells kept for the distance to the nearest ones.
const KEPT: usize = 10_000;
/// Cells that a smoothed score is averaged over, beside the cell itself.
pub(super) const AROUND: usize = 10;
/// Neighbours are looked for among so many cells; more cells are dealt out to several such groups.
const TOGETHER: usize = 20_000;

/// The rows of `n` training cells that are kept: of more than [`KEPT`] every second, third, ...
pub(super) fn kept(n: usize) -> impl Iterator<Item = usize> {
    (0..n).step_by(n.div_ceil(KEPT).max(1))
}

/// What the scores that no model gives are made from.
pub(super) struct Familiarity {
    gaussians: Lda,
    width: usize,
    /// `[cells, width]`
    reference: Vec<f64>,
}

impl Familiarity {
    /// Learns from labelled cells; of more than some 10,000 every second, third, ... is kept.
    pub fn fit(cells: &Cells) -> Result<Familiarity> {
        let w = cells.width;
        let reference = kept(cells.len()).flat_map(|row| &cells.x[row * w..(row + 1) * w]).copied().collect();
        // With more features than cells the covariance is nothing without a share of the mean variance.
        let (n, d) = (cells.len() as f64, cells.width as f64);
        let shrinkage = if n - cells.classes as f64 > d { 0.0 } else { d / (n + d) };
        Ok(Familiarity { gaussians: Lda::fit(cells, shrinkage)?, width: cells.width, reference })
    }

    /// Scores of single cells `x` `[n, width]` of which a model said `answers`, those of `wanted` that can
    /// be had; combined and smoothed ones come from these ([`complete`]).
    pub fn basic(&self, x: &[f32], answers: &Answers, wanted: &[Score]) -> Result<Scores> {
        let needs = |kind: Kind| wanted.iter().any(|score| score.kind.parts().contains(&kind));
        let mut all = Scores::of(answers);
        if !needs(Kind::Knn) && !needs(Kind::Mahalanobis) {
            return Ok(all);
        }
        let wide: Vec<f64> = x.iter().map(|&v| f64::from(v)).collect();
        let narrow = |values: Vec<f64>| values.into_iter().map(|v| v as f32).collect::<Vec<f32>>();
        if needs(Kind::Knn) {
            let k = NEIGHBOURS.min(self.reference.len() / self.width.max(1));
            let near = knn_query(&wide, &self.reference, self.width, k)?;
            let mean = |row: &[f64]| -row.iter().sum::<f64>() / k as f64;
            all.set(Kind::Knn.plain(), narrow(near.distances.chunks_exact(k).map(mean).collect()));
        }
        if needs(Kind::Mahalanobis) {
            all.set(Kind::Mahalanobis.plain(), narrow(self.gaussians.nearness(&wide)?));
        }
        Ok(all)
    }

    /// Adds it to what a model file holds.
    pub fn save(&self, state: &mut State) {
        self.gaussians.save_as(state, "familiarity.");
        let shape = [self.reference.len() / self.width.max(1), self.width];
        state.set("familiarity.reference", &shape, self.reference.iter().map(|&v| v as f32).collect());
    }

    /// Reads what [`Familiarity::save`] wrote; `None` in a model file of an older version.
    ///
    /// # Errors
    /// `Error::Argument` naming what has another shape.
    pub fn load(state: &State, width: usize, classes: usize) -> Result<Option<Familiarity>> {
        const REFERENCE: &str = "familiarity.reference";
        let Some((shape, _)) = state.tensors.get(REFERENCE) else { return Ok(None) };
        let rows = shape.first().copied().unwrap_or(0);
        let reference = state.tensor(REFERENCE, &[rows, width])?.iter().map(|&v| f64::from(v)).collect();
        Ok(Some(Familiarity { gaussians: Lda::load_from(state, "familiarity.", width, classes)?, width, reference }))
    }
}

/// Adds combined and smoothed scores of `wanted` to the basic ones of cells `x` `[n, width]`; cells in
/// `out` (without counts) take part in nothing. `ladders` are those of the held-out reference cells.
pub(super) fn complete(
    mut scores: Scores,
    x: &[f32],
    width: usize,
    out: &[bool],
    ladders: &[(Kind, Ladder)],
    wanted: &[Score],
) -> Result<Scores> {
    let of = |kind: Kind| ladders.iter().find(|(k, _)| *k == kind).map(|(_, ladder)| ladder);
    for kind in Kind::ALL.into_iter().filter(|kind| wanted.iter().any(|score| score.kind == *kind)) {
        let [a, b] = kind.parts() else { continue };
        let (Some(first), Some(second)) = (scores.get(a.plain()), scores.get(b.plain())) else { continue };
        let (Some(low), Some(high)) = (of(*a), of(*b)) else { continue };
        let mean = first.iter().zip(second).map(|(&v, &w)| 0.5 * (low.rung(v) + high.rung(w))).collect();
        scores.set(kind.plain(), mean);
    }
    if wanted.iter().any(|score| score.smooth) {
        let around = Around::of(x, width, out)?;
        for score in wanted.iter().filter(|score| score.smooth) {
            if let Some(values) = scores.get(score.kind.plain()) {
                let mean = around.mean(values);
                scores.set(*score, mean);
            }
        }
    }
    scores.keep(wanted);
    Ok(scores)
}

/// The nearest cells of each cell, among the cells themselves.
struct Around {
    /// Rows of a cell and its neighbours; empty for cells that take no part.
    of: Vec<Vec<u32>>,
}

impl Around {
    fn of(x: &[f32], width: usize, out: &[bool]) -> Result<Around> {
        let used: Vec<usize> = (0..out.len()).filter(|&row| !out[row]).collect();
        let mut of = vec![Vec::new(); out.len()];
        let groups = used.len().div_ceil(TOGETHER).max(1);
        for group in 0..groups {
            let rows: Vec<usize> = used.iter().copied().skip(group).step_by(groups).collect();
            let k = AROUND.min(rows.len().saturating_sub(1));
            let near = match k {
                0 => Vec::new(),
                _ => {
                    let values = |&row: &usize| x[row * width..(row + 1) * width].iter().map(|&v| f64::from(v));
                    knn(&rows.iter().flat_map(values).collect::<Vec<_>>(), width, k)?.indices
                }
            };
            for (i, &row) in rows.iter().enumerate() {
                of[row].push(row as u32);
                of[row].extend(near[i * k..(i + 1) * k].iter().map(|&j| rows[j as usize] as u32));
            }
        }
        Ok(Around { of })
    }

    fn mean(&self, values: &[f32]) -> Vec<f32> {
        let one = |rows: &Vec<u32>| {
            let sum: f64 = rows.iter().map(|&row| f64::from(values[row as usize])).sum();
            (sum / rows.len() as f64) as f32
        };
        self.of.iter().map(one).collect()
    }
}
