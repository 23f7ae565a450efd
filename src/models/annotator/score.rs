//! Scores of familiarity, by name; each is larger for cells that look more like the reference.

use super::trained::Answers;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// What a score says of a single cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Probability of the label.
    MaxP,
    /// Minus the mean distance to the nearest reference cells.
    Knn,
    /// Minus the squared Mahalanobis distance to the nearest class mean.
    Mahalanobis,
    /// `log p(x)` of the model, up to a constant.
    LogPx,
    /// Mean of the ranks that Mahalanobis distance and probability have among held-out reference cells.
    MahalanobisMaxP,
}

/// A score: of the cell alone, or averaged over the cells around it in the same file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Score {
    /// What is averaged over the cells around.
    pub smooth: bool,
    /// What it says.
    pub kind: Kind,
}

impl Kind {
    /// All of them, simpler ones first.
    pub const ALL: [Kind; 5] = [Kind::MaxP, Kind::Knn, Kind::Mahalanobis, Kind::LogPx, Kind::MahalanobisMaxP];

    /// The score of the cell alone.
    pub const fn plain(self) -> Score {
        Score { smooth: false, kind: self }
    }

    /// What it is made from: itself, or two others.
    pub(super) fn parts(&self) -> &'static [Kind] {
        match self {
            Kind::MaxP => &[Kind::MaxP],
            Kind::Knn => &[Kind::Knn],
            Kind::Mahalanobis => &[Kind::Mahalanobis],
            Kind::LogPx => &[Kind::LogPx],
            Kind::MahalanobisMaxP => &[Kind::Mahalanobis, Kind::MaxP],
        }
    }
}

/// Names of the kinds, plain and smoothed.
const NAMES: [[&str; 2]; 5] = [
    ["maxp", "maxp_smooth"],
    ["knn", "knn_smooth"],
    ["mahalanobis", "mahalanobis_smooth"],
    ["logpx", "logpx_smooth"],
    ["mahalanobis_maxp", "mahalanobis_maxp_smooth"],
];

impl Score {
    /// All of them, simpler ones first.
    pub fn all() -> impl Iterator<Item = Score> {
        [false, true].into_iter().flat_map(|smooth| Kind::ALL.map(|kind| Score { smooth, kind }))
    }

    /// Its name in columns and on the command line.
    pub fn name(self) -> &'static str {
        NAMES[self.kind as usize][usize::from(self.smooth)]
    }

    /// By its name.
    ///
    /// # Errors
    /// `Error::Usage` that lists the names.
    pub fn from_name(name: &str) -> Result<Score> {
        Score::all().find(|score| score.name() == name).ok_or_else(|| {
            let names: Vec<&str> = Score::all().map(Score::name).collect();
            Error::usage(format!("unknown score \"{name}\""), format!("use one of {}", names.join(", ")))
        })
    }
}

impl TryFrom<String> for Score {
    type Error = Error;

    fn try_from(name: String) -> Result<Score> {
        Score::from_name(&name)
    }
}

impl From<Score> for String {
    fn from(score: Score) -> String {
        score.name().into()
    }
}

/// Values of several scores for the same cells.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scores(Vec<(Score, Vec<f32>)>);

impl Scores {
    /// Those that follow from a model's answers alone.
    pub(super) fn of(answers: &Answers) -> Scores {
        let mut all = vec![(Kind::MaxP.plain(), answers.prob.clone())];
        all.extend(answers.log_px.iter().map(|values| (Kind::LogPx.plain(), values.clone())));
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

    pub(super) fn set(&mut self, score: Score, values: Vec<f32>) {
        match self.0.iter_mut().find(|(s, _)| *s == score) {
            Some((_, old)) => *old = values,
            None => self.0.push((score, values)),
        }
    }

    /// Forgets all others; the order is that of [`Score::all`].
    pub(super) fn keep(&mut self, wanted: &[Score]) {
        self.0.retain(|(score, _)| wanted.contains(score));
        self.0.sort_by_key(|(score, _)| *score);
    }

    /// Puts the values of the cells at `rows`; every score gets `n` cells.
    pub(super) fn place(&mut self, part: &Scores, rows: &[usize], n: usize) {
        for (score, values) in part.iter() {
            let mut all = self.get(score).map_or_else(|| vec![f32::NAN; n], <[f32]>::to_vec);
            rows.iter().zip(values).for_each(|(&row, &v)| all[row] = v);
            self.set(score, all);
        }
    }
}

/// The ranks of held-out reference cells, as a scale for any cell.
#[derive(Clone, Debug)]
pub(super) struct Ladder {
    sorted: Vec<f32>,
}

impl Ladder {
    pub fn new(reference: &[f32]) -> Ladder {
        let mut sorted: Vec<f32> = reference.iter().copied().filter(|v| !v.is_nan()).collect();
        sorted.sort_by(f32::total_cmp);
        Ladder { sorted }
    }

    /// The share of reference cells below the value, in between by interpolation. Below all of them it
    /// goes on falling, by the logarithm of the distance in units of that from the least to the median.
    pub fn rung(&self, value: f32) -> f32 {
        let n = self.sorted.len();
        if n == 0 || value.is_nan() {
            return f32::NAN;
        }
        let (least, middle) = (self.sorted[0], self.sorted[n / 2]);
        if value < least {
            let unit = (middle - least).max(f32::MIN_POSITIVE);
            let far = f64::from((least - value) / unit).min(1e30);
            return (-0.5 * crate::analysis::linalg::ln(1.0 + far)) as f32;
        }
        // Middle of the cells that are equal.
        let (below, upto) = (self.sorted.partition_point(|&v| v < value), self.sorted.partition_point(|&v| v <= value));
        if upto > below || below == n {
            return (below + upto) as f32 * 0.5 / n as f32;
        }
        let (a, b) = (self.sorted[below - 1], self.sorted[below]);
        (below as f32 - 0.5 + (value - a) / (b - a)) / n as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_score_has_a_name_of_its_own_and_simpler_ones_come_first() {
        let all: Vec<Score> = Score::all().collect();
        assert!(all.windows(2).all(|pair| pair[0] < pair[1]));
        for score in all {
            assert_eq!(Score::from_name(score.name()).unwrap(), score);
            let text = serde_json::to_string(&score).unwrap();
            assert_eq!(serde_json::from_str::<Score>(&text).unwrap(), score);
        }
        assert!(Score::from_name("colour").unwrap_err().to_string().contains("use one of maxp, knn"));
    }

    #[test]
    fn a_ladder_rises_through_and_beyond_its_cells() {
        let ladder = Ladder::new(&[3.0, 1.0, 2.0, 2.0]);
        let values = [-1e30, -5.0, 0.0, 0.99, 1.0, 1.5, 2.0, 2.5, 3.0, 9.0];
        let rungs: Vec<f32> = values.iter().map(|&v| ladder.rung(v)).collect();
        assert!(rungs.windows(2).all(|w| w[0] <= w[1]), "{rungs:?}");
        assert!(rungs[0].is_finite() && rungs[3] < rungs[4]);
        assert_eq!((rungs[4], rungs[6], rungs[9]), (0.125, 0.5, 1.0));
        assert!(Ladder::new(&[]).rung(1.0).is_nan() && ladder.rung(f32::NAN).is_nan());
    }
}
