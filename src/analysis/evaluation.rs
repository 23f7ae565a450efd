//! One report on an annotated query whose true labels are known: are the labels right, are the
//! probabilities honest, and do the scores find the cells of types that the model never saw?
//! May use: error, metrics.
//!
//! Cells whose true type the model knows ("known") are judged by their labels and probabilities; the
//! others ("unknown") can only be found out by a low score. Everywhere a higher score means more
//! in-distribution, and known cells are the positives.
#![forbid(unsafe_code)]

mod text;

use super::metrics::labels::check_length;
use super::metrics::{Binning, Confusion, Heatmap, Ranking, Reliability};
use crate::error::{Error, Result};
use serde::Serialize;
use std::collections::BTreeSet;

/// Bins of both calibration errors.
pub const ECE_BINS: usize = 20;

/// What is known about each cell of a query; every slice has one entry per cell.
#[derive(Clone, Copy, Debug)]
pub struct Annotations<'a> {
    /// True type; cells without one are left out and counted.
    pub truth: &'a [Option<String>],
    /// Label the model gave; cells without one are left out and counted.
    pub predicted: &'a [Option<String>],
    /// Probability of that label, `max p(y|x)`.
    pub probability: &'a [f64],
    /// Un-normalised `log p(x)`, for models that have one.
    pub log_density: Option<&'a [f64]>,
    /// Other scores by name, larger for cells that look more like the reference.
    pub scores: &'a [(String, Vec<f64>)],
    /// Cells flagged as unlike the reference.
    pub flagged: Option<&'a [bool]>,
    /// Types the model knows, in its own order. A label it gave counts as known anyway.
    pub known: &'a [String],
}

/// The report; figures that are not defined are NaN, `null` in JSON.
#[derive(Clone, Debug, Serialize)]
pub struct Evaluation {
    /// Cells with a true type and a label.
    pub cells: usize,
    /// Cells left out because they have no true type.
    pub without_truth: usize,
    /// Cells left out because they were not annotated.
    pub not_annotated: usize,
    /// Evaluated cells of types the model knows.
    pub known_cells: usize,
    /// Evaluated cells of other types.
    pub unknown_cells: usize,
    /// Share of known cells with the right label, flagged or not.
    pub accuracy: f64,
    /// Mean over known types of the share of cells with the right label.
    pub balanced_accuracy: f64,
    /// Mean F1 over the types that occur among known cells, as truth or as label.
    pub macro_f1: f64,
    /// Calibration error of known cells, [`ECE_BINS`] bins of equal width (0 to 1, not percent).
    pub ece_equal_width: f64,
    /// The same with bins of equal numbers of cells.
    pub ece_equal_mass: f64,
    /// How well each score tells known from unknown cells; empty if there is no unknown cell.
    pub detection: Vec<Detection>,
    /// What flagging did; absent if no cell could be flagged.
    pub flagging: Option<Flagging>,
    /// One entry per true type: known ones in the model's order, then unknown ones by name.
    pub types: Vec<TypeFigures>,
    /// Labels (rows) given to each true type (columns).
    pub confusion: ConfusionTable,
}

/// How well one score separates known cells (positives) from unknown ones.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Detection {
    /// `log p(x)`, `max p(y|x)` or the name of another one.
    pub score: String,
    /// Area under the ROC curve.
    pub auroc: f64,
    /// Average precision with the known cells as positives.
    pub average_precision: f64,
    /// Average precision of the negated score with the unknown cells as positives.
    pub average_precision_unknown: f64,
    /// Share of unknown cells that pass where 95 % of the known cells do.
    pub fpr_at_tpr95: f64,
    /// Cells of types that the model knows.
    pub known: usize,
    /// Cells of other types.
    pub unknown: usize,
}

/// Shares of flagged cells.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Flagging {
    /// Share of known cells that are flagged: false alarms.
    pub known_flagged: f64,
    /// Share of unknown cells that are flagged: the power.
    pub unknown_flagged: f64,
    /// Accuracy over the known cells that are not flagged.
    pub accuracy_kept: f64,
}

/// Figures of one true type.
#[derive(Clone, Debug, Serialize)]
pub struct TypeFigures {
    /// Name of the type.
    pub label: String,
    /// Whether the model knows it.
    pub known: bool,
    /// Cells of it.
    pub cells: usize,
    /// Known types: precision among known cells, recall, F1. NaN for unknown types.
    pub precision: f64,
    /// Share of its cells that were found.
    pub recall: f64,
    /// Harmonic mean of precision and recall.
    pub f1: f64,
    /// Share of the type's cells that are flagged; NaN if none could be.
    pub flagged: f64,
    /// Unknown types: each score's separation from all known cells.
    pub detection: Vec<Detection>,
}

/// Labels given (rows, the last one for flagged cells) against true types (columns).
#[derive(Clone, Debug, Serialize)]
pub struct ConfusionTable {
    /// The model's labels; the counts have one row more, of flagged cells, whatever their label.
    pub labels: Vec<String>,
    /// True types, in the order of [`Evaluation::types`].
    pub types: Vec<String>,
    /// Whether the model knows the type of that column.
    pub known: Vec<bool>,
    /// `counts[row][column]`; columns add up to the type's cells.
    pub counts: Vec<Vec<u64>>,
    /// `counts` as a share of its column; each column adds up to 1.
    pub fractions: Vec<Vec<f64>>,
    /// `counts` with every cell under its label, flagged or not (the last row is 0).
    pub counts_without_flagging: Vec<Vec<u64>>,
}

/// The evaluated cells, as codes into `labels` (the model's) and `types` (true ones, known first).
struct Coded<'a> {
    labels: Vec<&'a str>,
    types: Vec<&'a str>,
    /// How many of `types` are known.
    known_types: usize,
    truth: Vec<u32>,
    predicted: Vec<u32>,
    probability: Vec<f64>,
    scores: Vec<(String, Vec<f64>)>,
    flagged: Option<Vec<bool>>,
}

impl Evaluation {
    /// Judges the annotations.
    ///
    /// # Errors
    /// `Error::Shape` if the slices differ in length; `Error::Data` if no cell has both a true type
    /// and a label, or a score of an evaluated cell is NaN; `Error::Argument` for a probability
    /// outside [0, 1].
    pub fn new(cells: Annotations) -> Result<Evaluation> {
        let coded = Coded::new(&cells)?;
        let known: Vec<usize> = (0..coded.truth.len()).filter(|&i| coded.is_known(i)).collect();
        let unknown = coded.truth.len() - known.len();
        let correct: Vec<bool> = known.iter().map(|&i| coded.is_right(i)).collect();
        let table = coded.label_table(&known)?;
        let confidence: Vec<f64> = known.iter().map(|&i| coded.probability[i]).collect();
        let ece = |binning| match known.is_empty() {
            true => Ok(f64::NAN),
            false => Reliability::new(&confidence, &correct, ECE_BINS, binning).map(|r| r.ece()),
        };
        let table_figure = |f: fn(&Confusion) -> f64| table.as_ref().map_or(f64::NAN, f);
        Ok(Evaluation {
            cells: coded.truth.len(),
            without_truth: cells.truth.iter().filter(|t| t.is_none()).count(),
            not_annotated: cells.truth.iter().zip(cells.predicted).filter(|(t, p)| t.is_some() && p.is_none()).count(),
            known_cells: known.len(),
            unknown_cells: unknown,
            accuracy: table_figure(Confusion::accuracy),
            balanced_accuracy: table_figure(Confusion::balanced_accuracy),
            macro_f1: table_figure(|t| t.macro_average().f1),
            ece_equal_width: ece(Binning::WidthFloor)?,
            ece_equal_mass: ece(Binning::Mass)?,
            detection: coded.detection(|_| true)?,
            flagging: coded.flagged.as_ref().map(|flagged| coded.flagging(flagged)),
            types: coded.type_figures(table.as_ref())?,
            confusion: coded.confusion()?,
        })
    }
}

impl<'a> Coded<'a> {
    fn new(cells: &Annotations<'a>) -> Result<Coded<'a>> {
        const OP: &str = "evaluation";
        let n = cells.truth.len();
        check_length(OP, "labels", n, cells.predicted.len())?;
        check_length(OP, "probabilities", n, cells.probability.len())?;
        check_length(OP, "log densities", n, cells.log_density.map_or(n, <[f64]>::len))?;
        check_length(OP, "flags", n, cells.flagged.map_or(n, <[bool]>::len))?;
        let mut labels: Vec<&str> = Vec::new();
        let given: BTreeSet<&str> = cells.predicted.iter().flatten().map(String::as_str).collect();
        for label in cells.known.iter().map(String::as_str).chain(given) {
            if !labels.contains(&label) {
                labels.push(label);
            }
        }
        let kept: Vec<(usize, &str, &str)> =
            (0..n).filter_map(|i| Some((i, cells.truth[i].as_deref()?, cells.predicted[i].as_deref()?))).collect();
        if kept.is_empty() {
            return Err(Error::data(
                format!("{n} cells"),
                "none has both a true type and a label",
                "annotate the file first and name the column that holds the truth",
            ));
        }
        let present: BTreeSet<&str> = kept.iter().map(|k| k.1).collect();
        let mut types: Vec<&str> = labels.iter().copied().filter(|l| present.contains(l)).collect();
        let known_types = types.len();
        types.extend(present.iter().filter(|t| !labels.contains(t)));
        let code = |names: &[&str], name: &str| names.iter().position(|n| *n == name).unwrap_or(0) as u32;
        let pick = |values: &[f64], what: &str| -> Result<Vec<f64>> {
            let picked: Vec<f64> = kept.iter().map(|k| values[k.0]).collect();
            match picked.iter().position(|v| v.is_nan()) {
                None => Ok(picked),
                Some(at) => Err(Error::data(
                    format!("{what} of cell {}", kept[at].0),
                    "is NaN",
                    "annotate again with a model that did not diverge",
                )),
            }
        };
        let probability = pick(cells.probability, "the probability")?;
        let mut scores = Vec::new();
        if let Some(log_density) = cells.log_density {
            scores.push(("log p(x)".to_owned(), pick(log_density, "log p(x)")?));
        }
        scores.push(("max p(y|x)".into(), probability.clone()));
        for (name, values) in cells.scores {
            check_length(OP, name, n, values.len())?;
            scores.push((name.clone(), pick(values, name)?));
        }
        Ok(Coded {
            truth: kept.iter().map(|k| code(&types, k.1)).collect(),
            predicted: kept.iter().map(|k| code(&labels, k.2)).collect(),
            flagged: cells.flagged.map(|flags| kept.iter().map(|k| flags[k.0]).collect()),
            labels,
            types,
            known_types,
            probability,
            scores,
        })
    }

    fn is_known(&self, cell: usize) -> bool {
        (self.truth[cell] as usize) < self.known_types
    }

    fn is_right(&self, cell: usize) -> bool {
        self.types[self.truth[cell] as usize] == self.labels[self.predicted[cell] as usize]
    }

    /// The known cells' labels against their types, both as codes into `labels`.
    fn label_table(&self, known: &[usize]) -> Result<Option<Confusion>> {
        if known.is_empty() {
            return Ok(None);
        }
        let of_type: Vec<u32> = self.types[..self.known_types].iter().map(|t| self.label_code(t)).collect();
        let truth: Vec<u32> = known.iter().map(|&i| of_type[self.truth[i] as usize]).collect();
        let predicted: Vec<u32> = known.iter().map(|&i| self.predicted[i]).collect();
        Confusion::new(&truth, &predicted, self.labels.len()).map(Some)
    }

    fn label_code(&self, label: &str) -> u32 {
        self.labels.iter().position(|l| *l == label).unwrap_or(0) as u32
    }

    /// Every score's separation of all known cells from the unknown cells of the types in question.
    fn detection(&self, of_type: impl Fn(u32) -> bool) -> Result<Vec<Detection>> {
        let cells: Vec<usize> = (0..self.truth.len()).filter(|&i| self.is_known(i) || of_type(self.truth[i])).collect();
        let known: Vec<bool> = cells.iter().map(|&i| self.is_known(i)).collect();
        let unknown: Vec<bool> = known.iter().map(|k| !k).collect();
        if !unknown.contains(&true) {
            return Ok(vec![]);
        }
        let judge = |(score, values): &(String, Vec<f64>)| {
            let values: Vec<f64> = cells.iter().map(|&i| values[i]).collect();
            let negated: Vec<f64> = values.iter().map(|v| -v).collect();
            let ranking = Ranking::new(&known, &values)?;
            Ok(Detection {
                score: score.clone(),
                auroc: ranking.auroc(),
                average_precision: ranking.average_precision(),
                average_precision_unknown: Ranking::new(&unknown, &negated)?.average_precision(),
                fpr_at_tpr95: ranking.fpr_at_tpr(0.95),
                known: ranking.positives() as usize,
                unknown: ranking.negatives() as usize,
            })
        };
        self.scores.iter().map(judge).collect()
    }

    fn flagging(&self, flagged: &[bool]) -> Flagging {
        let cells = || 0..self.truth.len();
        let kept = || cells().filter(|&i| self.is_known(i) && !flagged[i]);
        Flagging {
            known_flagged: share(cells().filter(|&i| self.is_known(i)).map(|i| flagged[i])),
            unknown_flagged: share(cells().filter(|&i| !self.is_known(i)).map(|i| flagged[i])),
            accuracy_kept: share(kept().map(|i| self.is_right(i))),
        }
    }

    fn type_figures(&self, table: Option<&Confusion>) -> Result<Vec<TypeFigures>> {
        let figures = |(code, label): (usize, &&str)| {
            let known = code < self.known_types;
            let mine = || (0..self.truth.len()).filter(|&i| self.truth[i] as usize == code);
            let scores = table.filter(|_| known).map(|t| t.class(self.label_code(label) as usize));
            Ok(TypeFigures {
                label: label.to_string(),
                known,
                cells: mine().count(),
                precision: scores.map_or(f64::NAN, |s| s.precision),
                recall: scores.map_or(f64::NAN, |s| s.recall),
                f1: scores.map_or(f64::NAN, |s| s.f1),
                flagged: self.flagged.as_ref().map_or(f64::NAN, |f| share(mine().map(|i| f[i]))),
                detection: if known { vec![] } else { self.detection(|t| t as usize == code)? },
            })
        };
        self.types.iter().enumerate().map(figures).collect()
    }

    fn confusion(&self) -> Result<ConfusionTable> {
        let columns = self.types.len();
        let map = |flagged: Option<&Vec<bool>>| {
            let label = |(i, &p): (usize, &u32)| (!flagged.is_some_and(|f| f[i])).then_some(p);
            let predicted: Vec<Option<u32>> = self.predicted.iter().enumerate().map(label).collect();
            Heatmap::new(&predicted, self.labels.len(), &self.truth, columns)
        };
        let (with, without) = (map(self.flagged.as_ref())?, map(None)?);
        let rows = |counts: &[u64]| counts.chunks_exact(columns).map(<[u64]>::to_vec).collect();
        Ok(ConfusionTable {
            labels: self.labels.iter().map(ToString::to_string).collect(),
            types: self.types.iter().map(ToString::to_string).collect(),
            known: (0..columns).map(|c| c < self.known_types).collect(),
            counts: rows(&with.counts),
            fractions: with.fractions().chunks_exact(columns).map(<[f64]>::to_vec).collect(),
            counts_without_flagging: rows(&without.counts),
        })
    }
}

/// Share of true values; NaN of none.
fn share(values: impl Iterator<Item = bool>) -> f64 {
    let (mut count, mut total) = (0usize, 0usize);
    for value in values {
        count += usize::from(value);
        total += 1;
    }
    count as f64 / total as f64
}

#[cfg(test)]
mod tests;
