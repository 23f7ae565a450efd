//! What is said of every cell: label, probability, scores, p-values, and whether it is unlike the reference.

use super::record::calibration;
use super::score::{Score, Scores};
use super::trained::Answers;
use crate::analysis::conformal::Conformal;
use crate::data::table::list_names;
use crate::data::{Categorical, Column};
use crate::error::{Error, Result};
use crate::models::run::{Observer, State, WholeFile};
use std::io::Write;
use std::path::Path;

/// The scores of held-out reference cells.
pub(super) struct Calibration {
    conformal: Vec<(Score, Conformal)>,
    /// The score that flags cells.
    pub score: Score,
    /// Its value below which they are flagged; minus infinity if none can be.
    pub threshold: f64,
}

impl Calibration {
    /// # Errors
    /// `Error::Usage` if the run does not have the score.
    pub fn new(state: &State, score: Score, fpr: f64, observer: &mut dyn Observer) -> Result<Calibration> {
        let mut conformal = Vec::new();
        for each in Score::all() {
            if let Some(values) = calibration(state, each) {
                let values: Vec<f64> = values.iter().map(|&v| f64::from(v)).collect();
                conformal.extend(Conformal::new(&values).ok().map(|c| (each, c)));
            }
        }
        let missing = conformal.iter().all(|(s, _)| *s != score) && !conformal.is_empty();
        if missing {
            let names: Vec<&str> = conformal.iter().map(|(s, _)| s.name()).collect();
            let what = format!("the run has no score \"{}\"", score.name());
            return Err(Error::usage(what, format!("use one of {}", names.join(", "))));
        }
        let mut all = Calibration { conformal, score, threshold: f64::NEG_INFINITY };
        if let Some(own) = all.of(score) {
            all.threshold = own.threshold(fpr)?;
        }
        if all.threshold == f64::NEG_INFINITY {
            observer.warn(&format!(
                "{} held-out reference cells are too few to flag cells at a rate of {fpr}; no cell is called unknown, \
                 give a larger --fpr or a larger reference",
                all.cells()
            ));
        }
        Ok(all)
    }

    /// Cells behind the p-values.
    pub fn cells(&self) -> usize {
        self.of(self.score).map_or(0, Conformal::cells)
    }

    fn of(&self, score: Score) -> Option<&Conformal> {
        self.conformal.iter().find(|(s, _)| *s == score).map(|(_, c)| c)
    }

    fn p_values(&self, score: Score, values: &[f32]) -> Vec<f64> {
        let p = |v: f32| self.of(score).map_or(f64::NAN, |c| c.p_value(f64::from(v)));
        values.iter().map(|&v| p(v)).collect()
    }
}

/// Share of flagged cells that is worth a word.
const MANY: f64 = 0.2;
/// Share of a label's cells that counts as all of them.
const NEARLY_ALL: f64 = 0.9;

/// What is said of every cell; cells without counts have no label and NaN.
pub(super) struct Verdicts {
    pub label: Categorical,
    pub prob: Vec<f32>,
    log_px: Option<Vec<f32>>,
    p_value: Vec<f64>,
    pub ood: Categorical,
    /// Every score with its p-values, if asked for.
    scores: Vec<(Score, Vec<f32>, Vec<f64>)>,
}

impl Verdicts {
    pub fn new(
        answers: Answers,
        scores: &Scores,
        empty: &[bool],
        calibration: &Calibration,
        labels: &[String],
        fpr: f64,
        all_scores: bool,
    ) -> Verdicts {
        let blank = |values: &[f32]| -> Vec<f32> {
            values.iter().zip(empty).map(|(&v, &e)| if e { f32::NAN } else { v }).collect()
        };
        let flagging = scores.get(calibration.score).map(blank);
        let p_value = match &flagging {
            Some(values) => calibration.p_values(calibration.score, values),
            None => vec![f64::NAN; empty.len()],
        };
        let flagged: Vec<&str> =
            p_value.iter().zip(empty).map(|(&p, &e)| if e || p <= fpr { "unknown" } else { "known" }).collect();
        let mut label = Categorical::with_categories::<&str>(&[], labels.to_vec());
        label.codes = answers.label.iter().zip(empty).map(|(&l, &e)| if e { -1 } else { l as i32 }).collect();
        let every = |(score, values): (Score, &[f32])| {
            let values = blank(values);
            let p = calibration.p_values(score, &values);
            (score, values, p)
        };
        Verdicts {
            label,
            prob: blank(&answers.prob),
            log_px: answers.log_px.as_deref().map(blank),
            p_value,
            ood: Categorical::with_categories(&flagged, vec!["known".into(), "unknown".into()]),
            scores: if all_scores { scores.iter().map(every).collect() } else { Vec::new() },
        }
    }

    /// Says so where far more cells are flagged than known types alone would give at the rate `fpr`.
    pub fn many_flags(&self, fpr: f64) -> Option<String> {
        let judged: Vec<(usize, bool)> = self
            .label
            .codes
            .iter()
            .zip(&self.ood.codes)
            .filter(|(l, _)| **l >= 0)
            .map(|(&l, &o)| (l as usize, o == 1))
            .collect();
        let share = |of: &mut dyn Iterator<Item = bool>| {
            let all: Vec<bool> = of.collect();
            all.iter().filter(|f| **f).count() as f64 / all.len().max(1) as f64
        };
        let flagged = share(&mut judged.iter().map(|(_, f)| *f));
        if flagged <= MANY.max(4.0 * fpr) {
            return None;
        }
        let whole = |class: usize| share(&mut judged.iter().filter(|(l, _)| *l == class).map(|(_, f)| *f)) > NEARLY_ALL;
        let mostly: Vec<&String> =
            self.label.categories.iter().enumerate().filter(|(class, _)| whole(*class)).map(|(_, name)| name).collect();
        let of_these = if mostly.is_empty() {
            String::new()
        } else {
            format!(" (nearly all that are called {})", list_names(&mostly))
        };
        Some(format!(
            "{:.0} % of the cells are flagged{of_these}, known types alone would give {:.0} %: much of the query is new, or its cells \
             of known types differ from the reference's as well, by batch or state; compare --scores, and train with --query and \
             --batch-key if the query was not at hand",
            100.0 * flagged,
            100.0 * fpr
        ))
    }

    /// Columns of obs, in the order of the file and of the CSV.
    pub fn columns(&self) -> Vec<(String, Column)> {
        let mut all = vec![
            ("cytograd_label".to_owned(), Column::Categorical(self.label.clone())),
            ("cytograd_prob".into(), Column::Float32(self.prob.clone())),
        ];
        all.extend(self.log_px.iter().map(|v| ("cytograd_logpx".into(), Column::Float32(v.clone()))));
        all.push(("cytograd_pvalue".into(), Column::Float(self.p_value.clone())));
        all.push(("cytograd_ood".into(), Column::Categorical(self.ood.clone())));
        for (score, values, p) in &self.scores {
            all.push((format!("cytograd_score_{}", score.name()), Column::Float32(values.clone())));
            all.push((format!("cytograd_pvalue_{}", score.name()), Column::Float(p.clone())));
        }
        all
    }

    /// A CSV that gets its name when it is finished.
    pub fn csv(&self, path: &Path, cells: &[String]) -> Result<WholeFile> {
        let failed = |e: csv::Error| Error::io(path, "writing", std::io::Error::other(e));
        let mut bytes = Vec::new();
        let mut writer = csv::Writer::from_writer(&mut bytes);
        let columns = self.columns();
        let header = std::iter::once("cell").chain(columns.iter().map(|(name, _)| name.as_str()));
        writer.write_record(header).map_err(failed)?;
        let number = |v: f64, text: String| if v.is_nan() { String::new() } else { text };
        for (i, cell) in cells.iter().enumerate() {
            let entry = |column: &Column| match column {
                Column::Float32(v) => number(f64::from(v[i]), v[i].to_string()),
                Column::Float(v) => number(v[i], v[i].to_string()),
                other => other.text(i).unwrap_or_default(),
            };
            let row = std::iter::once(cell.clone()).chain(columns.iter().map(|(_, column)| entry(column)));
            writer.write_record(row).map_err(failed)?;
        }
        writer.flush().map_err(|e| Error::io(path, "writing", e))?;
        drop(writer);
        let mut file = WholeFile::create(path)?;
        file.write_all(&bytes).and_then(|()| file.flush()).map_err(|e| Error::io(path, "writing", e))?;
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_flags_are_worth_a_word_and_their_labels_are_named() {
        let verdicts = |flagged: [usize; 2]| Verdicts {
            // Ten cells of either label, and one without.
            label: Categorical {
                codes: (0..21).map(|i| if i == 20 { -1 } else { i / 10 }).collect(),
                ..Categorical::with_categories::<&str>(&[], vec!["A".into(), "B".into()])
            },
            ood: Categorical {
                codes: (0..21usize).map(|i| i32::from(i == 20 || i % 10 < flagged[(i / 10).min(1)])).collect(),
                ..Categorical::with_categories::<&str>(&[], vec!["known".into(), "unknown".into()])
            },
            prob: vec![],
            log_px: None,
            p_value: vec![],
            scores: vec![],
        };
        assert_eq!(verdicts([1, 3]).many_flags(0.05), None);
        let said = verdicts([1, 10]).many_flags(0.05).unwrap();
        assert!(said.starts_with(
            "55 % of the cells are flagged (nearly all that are called \"B\"), known types alone would give 5 %"
        ));
        assert!(verdicts([4, 4]).many_flags(0.05).unwrap().starts_with("40 % of the cells are flagged, known"));
        assert_eq!(verdicts([4, 4]).many_flags(0.2), None);
    }
}
