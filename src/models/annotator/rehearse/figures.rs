//! What all trials together say: per type, per score, and which score is best.

use super::super::preparation::Preparation;
use super::super::score::{Kind, Score};
use super::RESULT;
use super::trial::{Outcome, Trial};
use crate::error::{Error, Result};
use crate::models::run::RunFolder;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Scores whose mean AUROC is so close count as equal; the simplest of them is chosen.
const CLOSE: f64 = 0.01;
/// Standard errors by which a score must be better than another one to be so.
const CERTAIN: f64 = 2.0;
/// Share of a type's cells that must be flagged for it to count as caught, and as caught in part, less what known
/// cells are flagged at beyond the rate that was asked for.
const CAUGHT: f64 = 0.5;
const IN_PART: f64 = 0.2;

/// A rehearsal's result.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Rehearsal {
    /// The run.
    pub run: PathBuf,
    /// Name of the model.
    pub model: String,
    /// What played the query.
    pub on: On,
    /// Column of obs whose values played the query; absent if parts of the reference or the query at hand did.
    pub by: Option<String>,
    /// How features were made.
    pub preparation: Preparation,
    /// Share of cells of known types that may be called unknown.
    pub fpr: f64,
    /// The best score: the run's own from now on.
    pub chosen: Score,
    /// Per type, with the chosen score.
    pub types: Vec<TypeFigures>,
    /// Per score, over all types.
    pub scores: Vec<ScoreFigures>,
    /// Types that could not be rehearsed, and why.
    pub skipped: Vec<(String, String)>,
    /// Mean accuracy on cells of known types.
    pub accuracy: f64,
    /// Everything.
    pub trials: Vec<Trial>,
    /// How long it took, the other preparation's trials included.
    pub seconds: f64,
    /// The same with features made in the other way, if there is one for this model.
    pub other: Option<Box<Rehearsal>>,
}

/// What plays the query of a rehearsal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum On {
    /// The query at hand, by the labels that the run gives its cells.
    Query,
    /// Cells of the reference, by their own labels.
    Reference,
}

/// Whether an unseen type would be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// At least half of its cells are flagged.
    Caught,
    /// At least a fifth.
    InPart,
    /// Fewer, or no more than of the known cells.
    Missed,
}

impl Verdict {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Caught => "caught",
            Verdict::InPart => "in part",
            Verdict::Missed => "missed",
        }
    }
}

/// What became of one type, mean over its trials.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TypeFigures {
    /// The type that was left out.
    pub left_out: String,
    /// Its cells that were looked for.
    pub cells: usize,
    /// With the chosen score: known against unknown cells.
    pub auroc: f64,
    /// Share of its cells that were flagged.
    pub power: f64,
    /// Share of the known cells that were flagged.
    pub false_alarms: f64,
    /// Whether it would be found.
    pub verdict: Verdict,
    /// The label that most of its cells got, and their share.
    pub becomes: (String, f64),
    /// Every score's AUROC.
    pub auroc_by_score: BTreeMap<Score, f64>,
}

/// One score, mean over types (and within them over trials).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ScoreFigures {
    /// Which one.
    pub score: Score,
    /// Known against unknown cells.
    pub auroc: f64,
    /// The worst type's.
    pub worst: f64,
    /// Share of unknown cells that were flagged.
    pub power: f64,
    /// Share of known cells that were flagged.
    pub false_alarms: f64,
}

/// AUROC, power and false alarms of a score for a type.
type Cell = [f64; 3];

impl Rehearsal {
    /// Sums the outcomes up.
    ///
    /// # Errors
    /// `Error::Data` if no type could be rehearsed.
    pub(super) fn new(
        about: About,
        mut skipped: Vec<(String, String)>,
        outcomes: impl Iterator<Item = Outcome>,
    ) -> Result<Rehearsal> {
        let mut trials = Vec::new();
        for outcome in outcomes {
            match outcome {
                Outcome::Done(trial) => trials.push(trial),
                Outcome::Impossible { left_out, why } => skipped.push((left_out, why)),
            }
        }
        let mut of_type: BTreeMap<&str, Vec<&Trial>> = BTreeMap::new();
        trials.iter().for_each(|trial| of_type.entry(&trial.left_out).or_default().push(trial));
        skipped.retain(|(name, _)| !of_type.contains_key(name.as_str()));
        skipped.sort();
        skipped.dedup_by(|a, b| a.0 == b.0);
        if trials.is_empty() {
            let why = skipped.first().map_or(String::new(), |(name, why)| format!(" ({name}: {why})"));
            return Err(Error::data(
                "the reference",
                format!("no type can be left out and looked for{why}"),
                "rehearse with a reference of more cells, or another --by",
            ));
        }
        let common: Vec<Score> =
            Score::all().filter(|score| trials.iter().all(|t| t.scores.iter().any(|s| s.score == *score))).collect();
        let by_score = |of: &[&Trial], score: Score| -> Cell {
            let mut sum = [0.0; 3];
            for found in of.iter().flat_map(|t| &t.scores).filter(|s| s.score == score) {
                [found.auroc, found.power, found.false_alarms].iter().zip(&mut sum).for_each(|(v, s)| *s += v);
            }
            sum.map(|v| v / of.len() as f64)
        };
        let scores: Vec<ScoreFigures> = common
            .iter()
            .map(|&score| {
                let cells: Vec<Cell> = of_type.values().map(|of| by_score(of, score)).collect();
                let mean = |part: usize| cells.iter().map(|c| c[part]).sum::<f64>() / cells.len() as f64;
                ScoreFigures {
                    score,
                    auroc: mean(0),
                    worst: cells.iter().map(|c| c[0]).fold(f64::INFINITY, f64::min),
                    power: mean(1),
                    false_alarms: mean(2),
                }
            })
            .collect();
        let chosen = choose(&scores, &trials, about.own);
        let types =
            of_type.iter().map(|(name, of)| type_figures(name, of, chosen, &common, about.fpr, &by_score)).collect();
        let accuracy = trials.iter().map(|t| t.accuracy).sum::<f64>() / trials.len() as f64;
        let About { run, model, on, by, preparation, fpr, own: _, seconds } = about;
        Ok(Rehearsal {
            run,
            model,
            on,
            by,
            preparation,
            fpr,
            chosen,
            types,
            scores,
            skipped,
            accuracy,
            trials,
            seconds,
            other: None,
        })
    }

    /// The last one of a run.
    ///
    /// # Errors
    /// `Error::Run` if this version cannot read it.
    pub fn of(run: &RunFolder) -> Result<Option<Rehearsal>> {
        if !run.manifest().files.contains_key(RESULT) {
            return Ok(None);
        }
        let path = run.path().join(RESULT);
        let text = std::fs::read(&path).map_err(|e| Error::io(&path, "reading", e))?;
        serde_json::from_slice(&text).map(Some).map_err(|e| Error::Run {
            path,
            what: format!("is of another version ({e})"),
            fix: "rehearse again".into(),
        })
    }

    /// The rehearsal with features made in the other way, if it finds more: its chosen score has the higher
    /// mean AUROC over the types that both have, by more than what counts as equal. No way is the better one
    /// everywhere, so that neither has to be better for certain to be taken.
    pub fn better(&self) -> Option<&Rehearsal> {
        let other = self.other.as_deref()?;
        let both: Vec<(f64, f64)> = self
            .types
            .iter()
            .filter_map(|own| Some((own.auroc, other.types.iter().find(|t| t.left_out == own.left_out)?.auroc)))
            .collect();
        let gain = both.iter().map(|(own, other)| other - own).sum::<f64>() / both.len() as f64;
        (gain > CLOSE).then_some(other)
    }

    /// Mean AUROC of the chosen score over all types.
    pub fn auroc(&self) -> f64 {
        self.types.iter().map(|t| t.auroc).sum::<f64>() / self.types.len() as f64
    }
}

/// What a rehearsal is of.
#[derive(Clone)]
pub(super) struct About {
    pub run: PathBuf,
    pub model: String,
    pub on: On,
    pub by: Option<String>,
    pub preparation: Preparation,
    pub fpr: f64,
    /// The model's own score.
    pub own: Score,
    pub seconds: f64,
}

fn type_figures(
    name: &str,
    of: &[&Trial],
    chosen: Score,
    common: &[Score],
    fpr: f64,
    by_score: &impl Fn(&[&Trial], Score) -> Cell,
) -> TypeFigures {
    let [auroc, power, false_alarms] = by_score(of, chosen);
    let mut becomes: BTreeMap<&str, usize> = BTreeMap::new();
    of.iter().flat_map(|t| &t.becomes).for_each(|(label, n)| *becomes.entry(label).or_default() += n);
    let all: usize = becomes.values().sum();
    let most = becomes.iter().max_by_key(|(label, n)| (**n, std::cmp::Reverse(**label)));
    // Flags that known cells get as well tell nothing of new ones.
    let verdict = match power - (false_alarms - fpr).max(0.0) {
        p if p >= CAUGHT => Verdict::Caught,
        p if p >= IN_PART => Verdict::InPart,
        _ => Verdict::Missed,
    };
    TypeFigures {
        left_out: name.into(),
        cells: all,
        auroc,
        power,
        false_alarms,
        verdict,
        becomes: most.map_or((String::new(), 0.0), |(label, &n)| (label.to_string(), n as f64 / all.max(1) as f64)),
        auroc_by_score: common.iter().map(|&score| (score, by_score(of, score)[0])).collect(),
    }
}

/// The score that does best inside references on the whole, whatever the model: over 32 tasks (one batch as the
/// query, one type left out; lda) AUROC 0.80, max p 0.56, neighbours 0.70 and averaged 0.73, log p(x) 0.74.
const GENERAL: Score = Score { smooth: true, kind: Kind::Mahalanobis };

/// The best by mean AUROC; of those that are about as good [`GENERAL`], else the model's own, else the simplest.
/// About as good is what differs by less than [`CLOSE`], or by less than [`CERTAIN`] standard errors of the
/// difference over all trials: a few trials do not tell such scores apart.
fn choose(scores: &[ScoreFigures], trials: &[Trial], own: Score) -> Score {
    let Some(best) = scores.iter().max_by(|a, b| a.auroc.total_cmp(&b.auroc)) else { return own };
    let of = |trial: &Trial, score: Score| trial.scores.iter().find(|s| s.score == score).map_or(f64::NAN, |s| s.auroc);
    let error = |score: Score| {
        let apart: Vec<f64> = trials.iter().map(|t| of(t, best.score) - of(t, score)).collect();
        let n = apart.len() as f64;
        // One trial tells nothing apart.
        if n < 2.0 {
            return f64::INFINITY;
        }
        let mean = apart.iter().sum::<f64>() / n;
        (apart.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0) / n).sqrt()
    };
    let close: Vec<Score> = scores
        .iter()
        .filter(|s| best.auroc - s.auroc <= CLOSE.max(CERTAIN * error(s.score)))
        .map(|s| s.score)
        .collect();
    [GENERAL, own].into_iter().find(|score| close.contains(score)).unwrap_or(close[0])
}

#[cfg(test)]
mod tests {
    use super::super::trial::TrialScore;
    use super::*;

    fn trial(left_out: &str, auroc: &[(Kind, f64)]) -> Trial {
        let of =
            |&(kind, auroc): &(Kind, f64)| TrialScore { score: kind.plain(), auroc, power: 0.0, false_alarms: 0.0 };
        Trial {
            left_out: left_out.into(),
            query: "the query".into(),
            seed: 0,
            reference_cells: 9,
            known_cells: 9,
            unknown_cells: 9,
            accuracy: 1.0,
            becomes: BTreeMap::new(),
            scores: auroc.iter().map(of).collect(),
        }
    }

    /// A rehearsal of two types with these AUROCs per score.
    fn rehearsal(preparation: Preparation, of: &[(Kind, [f64; 2])], own: Score) -> Rehearsal {
        let about = About {
            run: "run".into(),
            model: "lda".into(),
            on: On::Query,
            by: None,
            preparation,
            fpr: 0.05,
            own,
            seconds: 0.0,
        };
        let at = |at: usize| of.iter().map(|(kind, auroc)| (*kind, auroc[at])).collect::<Vec<_>>();
        let outcomes = [trial("a", &at(0)), trial("b", &at(1))].map(Outcome::Done);
        Rehearsal::new(about, Vec::new(), outcomes.into_iter()).unwrap()
    }

    fn choice(of: &[(Kind, [f64; 2])], own: Score) -> Score {
        rehearsal(Preparation::Variance, of, own).chosen
    }

    #[test]
    fn the_best_score_is_chosen_and_ties_go_to_the_general_the_models_own_the_simpler() {
        let own = Kind::LogPx.plain();
        let (low, high) = (Kind::Knn, Kind::Mahalanobis);
        let all = [(Kind::MaxP, [0.6, 0.6]), (low, [0.845, 0.845]), (high, [0.85, 0.85]), (Kind::LogPx, [0.7, 0.7])];
        assert_eq!(choice(&all, own), low.plain());
        assert_eq!(choice(&[(low, [0.845, 0.845]), (high, [0.85, 0.85]), (Kind::LogPx, [0.841, 0.841])], own), own);
        // Better by 0.1 on average, once by 0.3 and once worse by 0.1: that says nothing.
        assert_eq!(choice(&[(high, [0.9, 0.8]), (Kind::LogPx, [0.6, 0.9])], own), own);
        assert_eq!(choice(&[(high, [0.9, 0.8]), (Kind::LogPx, [0.8, 0.7])], own), high.plain());
        assert_eq!(choice(&[], own), own);
        let general = |auroc| {
            let score = |score, auroc| ScoreFigures { score, auroc, worst: auroc, power: 0.0, false_alarms: 0.0 };
            let all = [score(own, 0.85), score(low.plain(), 0.85), score(GENERAL, auroc)];
            let of = |score, auroc| TrialScore { score, auroc, power: 0.0, false_alarms: 0.0 };
            let trial =
                Trial { scores: vec![of(own, 0.85), of(low.plain(), 0.85), of(GENERAL, auroc)], ..trial("a", &[]) };
            choose(&all, &[trial.clone(), trial], own)
        };
        assert_eq!((general(0.845), general(0.8)), (GENERAL, own));
    }

    #[test]
    fn the_other_preparation_is_better_where_its_chosen_score_finds_more() {
        let own = Kind::Knn.plain();
        let with = |way, auroc| rehearsal(way, &[(Kind::Knn, auroc)], own);
        let compared = |first, second| Rehearsal {
            other: Some(Box::new(with(Preparation::Zscore, second))),
            ..with(Preparation::Variance, first)
        };
        assert!(compared([0.5, 0.6], [0.7, 0.6]).better().is_some_and(|r| r.preparation == Preparation::Zscore));
        assert!(compared([0.5, 0.6], [0.5, 0.61]).better().is_none());
        assert!(compared([0.9, 0.6], [0.7, 0.7]).better().is_none());
        assert!(with(Preparation::Variance, [0.5, 0.5]).better().is_none());
    }
}
