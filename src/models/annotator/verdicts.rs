//! What is said of every cell: label, probability, scores, p-values, and whether it is unlike the reference.

use super::record::calibration;
use super::score::{Score, Scores};
use super::trained::Answers;
use crate::analysis::conformal::Conformal;
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
