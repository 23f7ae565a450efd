//! How much a cell looks like the reference: several scores, side by side, each larger for cells that
//! look more familiar.
//!
//! May use: `models::baselines::lda`, `analysis::neighbors`. No score finds every unseen type: the
//! probability of the label fails for types near a known one, distances fail for types between known
//! ones. Every run therefore has all of them, calibrated on the same held-out cells.

use super::trained::Answers;
use crate::analysis::neighbors::knn_query;
use crate::error::{Error, Result};
use crate::models::baselines::Cells;
use crate::models::baselines::lda::Lda;
use crate::models::run::State;
use serde::{Deserialize, Serialize};

/// A score; larger is more like the reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Score {
    /// `log p(x)` of the model, up to a constant.
    #[serde(rename = "logpx")]
    LogPx,
    /// Probability of the label.
    #[serde(rename = "maxp")]
    MaxP,
    /// Minus the squared Mahalanobis distance to the nearest class mean.
    Mahalanobis,
    /// Minus the mean distance to the nearest reference cells.
    Knn,
}

impl Score {
    /// All of them, simpler ones first.
    pub const ALL: [Score; 4] = [Score::MaxP, Score::Knn, Score::Mahalanobis, Score::LogPx];

    /// Its name in columns and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Score::LogPx => "logpx",
            Score::MaxP => "maxp",
            Score::Mahalanobis => "mahalanobis",
            Score::Knn => "knn",
        }
    }

    /// What it is, in a few words.
    pub fn meaning(self) -> &'static str {
        match self {
            Score::LogPx => "log p(x)",
            Score::MaxP => "max p(y|x)",
            Score::Mahalanobis => "Mahalanobis distance, negative",
            Score::Knn => "distance to the nearest reference cells, negative",
        }
    }

    /// By its name.
    ///
    /// # Errors
    /// `Error::Usage` that lists the names.
    pub fn from_name(name: &str) -> Result<Score> {
        Score::ALL.into_iter().find(|score| score.name() == name).ok_or_else(|| {
            let names = Score::ALL.map(Score::name).join(", ");
            Error::usage(format!("unknown score \"{name}\""), format!("use one of {names}"))
        })
    }
}

/// Values of several scores for the same cells.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scores(Vec<(Score, Vec<f32>)>);

impl Scores {
    /// Those that follow from a model's answers alone.
    pub(super) fn of(answers: &Answers) -> Scores {
        let mut all = vec![(Score::MaxP, answers.prob.clone())];
        all.extend(answers.log_px.iter().map(|values| (Score::LogPx, values.clone())));
        Scores(all)
    }

    /// The values of one.
    pub fn get(&self, score: Score) -> Option<&[f32]> {
        self.0.iter().find(|(s, _)| *s == score).map(|(_, values)| values.as_slice())
    }

    /// Scores and their values.
    pub fn iter(&self) -> impl Iterator<Item = (Score, &[f32])> {
        self.0.iter().map(|(score, values)| (*score, values.as_slice()))
    }

    /// Puts the values of cells at `rows` of these scores; every score gets `n` cells.
    pub fn place(&mut self, part: &Scores, rows: &[usize], n: usize) {
        for (score, values) in part.iter() {
            if self.get(score).is_none() {
                self.0.push((score, vec![f32::NAN; n]));
            }
            let Some((_, all)) = self.0.iter_mut().find(|(s, _)| *s == score) else { continue };
            rows.iter().zip(values).for_each(|(&row, &v)| all[row] = v);
        }
    }
}

/// Neighbours whose distance counts.
const NEIGHBOURS: usize = 15;
/// Reference cells kept for the distance to the nearest ones.
const KEPT: usize = 20_000;

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
    /// Learns from labelled cells; of more than some 20,000 every second, third, ... is kept.
    pub fn fit(cells: &Cells) -> Result<Familiarity> {
        let w = cells.width;
        let reference = kept(cells.len()).flat_map(|row| &cells.x[row * w..(row + 1) * w]).copied().collect();
        Ok(Familiarity { gaussians: Lda::fit(cells)?, width: cells.width, reference })
    }

    /// All scores of cells `x` `[n, width]` of which a model said `answers`.
    pub fn scores(&self, x: &[f32], answers: &Answers) -> Result<Scores> {
        let mut all = Scores::of(answers);
        let wide: Vec<f64> = x.iter().map(|&v| f64::from(v)).collect();
        let narrow = |values: Vec<f64>| values.into_iter().map(|v| v as f32).collect::<Vec<f32>>();
        let k = NEIGHBOURS.min(self.reference.len() / self.width.max(1));
        let near = knn_query(&wide, &self.reference, self.width, k)?;
        let mean = |row: &[f64]| -row.iter().sum::<f64>() / k as f64;
        all.0.push((Score::Knn, narrow(near.distances.chunks_exact(k).map(mean).collect())));
        all.0.push((Score::Mahalanobis, narrow(self.gaussians.nearness(&wide)?)));
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
        let reference = state.tensor(REFERENCE, &[shape[0], width])?.iter().map(|&v| f64::from(v)).collect();
        Ok(Some(Familiarity { gaussians: Lda::load_from(state, "familiarity.", width, classes)?, width, reference }))
    }
}
