//! What an annotated file says of its cells.

use crate::analysis::evaluation::{Annotations, Evaluation};
use crate::data::h5ad::H5ad;
use crate::data::label_map::LabelMap;
use crate::data::source::Source;
use crate::data::{Column, Entry, Table, Value};
use crate::error::{Error, Result};
use crate::models::annotator::{Kind, Score};
use std::path::Path;

/// Annotated cells.
#[derive(Clone, Debug)]
pub struct Cells {
    /// The file's name.
    pub source: String,
    /// The labels that the model knows, in its order.
    pub labels: Vec<String>,
    /// The label that each cell was given, as a place in `labels`; `None`: none.
    pub given: Vec<Option<usize>>,
    /// Its probability; NaN without a label.
    pub prob: Vec<f64>,
    /// How much each cell looks like the reference: the scores that the file has.
    pub scores: Vec<(Score, Vec<f64>)>,
    /// Whether a cell is called unlike the reference.
    pub flagged: Vec<bool>,
    /// The score by which it is.
    pub flagged_by: Score,
    /// Its value below which it is.
    pub threshold: Option<f64>,
    /// `[cells, width]`, if it is there.
    pub embedding: Option<(Vec<f32>, usize)>,
    /// The true type of each cell, if asked for.
    pub truth: Option<Vec<Option<String>>>,
    /// What `uns["cytograd"]` holds, as names and values.
    pub provenance: Vec<(String, String)>,
    /// Where the expression is that was annotated.
    pub layer: Option<String>,
}

impl Cells {
    /// Reads what `cytograd annotate` wrote; `truth` names a column of true types.
    ///
    /// # Errors
    /// As [`H5ad::open`]; `Error::Data` if the file is not annotated or has no such column.
    pub fn read(path: &Path, truth: Option<&str>, label_map: Option<&Path>) -> Result<Cells> {
        let file = H5ad::open(path)?;
        let mut frame = file.frame()?;
        let place = format!("{}: obs", frame.source);
        if let (Some(map), Some(truth)) = (label_map, truth) {
            LabelMap::read(map)?.apply(&mut frame.obs, truth, &place)?;
        }
        let ours = frame.uns.iter().find(|(name, _)| name == "cytograd").map(|(_, value)| value);
        let labels = match ours.and_then(|value| value.get("labels")) {
            Some(Value::Strs { data, .. }) => data.clone(),
            _ => {
                return Err(Error::data(
                    format!("{}: uns", frame.source),
                    "holds no cytograd annotation",
                    "annotate the file with `cytograd annotate` and give what it writes",
                ));
            }
        };
        let texts = |name: &str| -> Result<Vec<Option<String>>> {
            let column = frame.obs.column(&place, name)?;
            Ok((0..column.len()).map(|row| column.text(row)).collect())
        };
        let given = texts("cytograd_label")?;
        let given = given.iter().map(|l| labels.iter().position(|known| Some(known) == l.as_ref())).collect();
        let n = frame.n_obs();
        let flagged = frame.obs.get("cytograd_ood").map_or_else(|| vec![false; n], flags);
        let calibration = ours.and_then(|value| value.get("calibration"));
        let threshold = match calibration.and_then(|c| c.get("threshold")) {
            Some(Value::Float(v)) => Some(*v),
            _ => None,
        };
        let flagged_by = match calibration.and_then(|c| c.get("score")) {
            Some(Value::Str(name)) => Score::from_name(name)?,
            _ => Kind::LogPx.plain(),
        };
        let embedding = frame.obsm.iter().find(|(name, _)| name == "X_cytograd").and_then(|(_, entry)| match entry {
            Entry::Matrix(m) if m.n_cols() > 0 => Some((m.to_dense(), m.n_cols())),
            _ => None,
        });
        let layer = match ours.and_then(|value| value.get("input_layer")) {
            Some(Value::Str(name)) if name != "X" => Some(name.clone()),
            _ => None,
        };
        let mut provenance = Vec::new();
        ours.into_iter().for_each(|value| flatten("", value, &mut provenance));
        let score = |score: Score| {
            let own = numbers(&frame.obs, &format!("cytograd_score_{}", score.name()));
            let values = own.or_else(|| match (score.kind, score.smooth) {
                (Kind::LogPx, false) => numbers(&frame.obs, "cytograd_logpx"),
                (Kind::MaxP, false) => numbers(&frame.obs, "cytograd_prob"),
                _ => None,
            });
            values.filter(|values| values.iter().any(|v| v.is_finite())).map(|values| (score, values))
        };
        Ok(Cells {
            prob: numbers(&frame.obs, "cytograd_prob").unwrap_or_else(|| vec![f64::NAN; n]),
            scores: Score::all().collect::<Vec<_>>().into_iter().rev().filter_map(score).collect(),
            flagged_by,
            truth: truth.map(texts).transpose()?,
            source: frame.source.clone(),
            labels,
            given,
            flagged,
            threshold,
            embedding,
            provenance,
            layer,
        })
    }

    /// Number of cells.
    pub fn len(&self) -> usize {
        self.given.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.given.is_empty()
    }

    /// The values of a score.
    pub fn score(&self, score: Score) -> Option<&[f64]> {
        self.scores.iter().find(|(s, _)| *s == score).map(|(_, values)| values.as_slice())
    }

    /// The true type of a cell, if it is known which one it is.
    pub fn true_type(&self, cell: usize) -> Option<&str> {
        self.truth.as_ref()?[cell].as_deref()
    }

    /// Judged by the true types, if there are any; in words why not.
    pub fn evaluation(&self) -> std::result::Result<Evaluation, String> {
        let Some(truth) = &self.truth else { return Err("no column of true types was given".into()) };
        let predicted: Vec<Option<String>> = self.given.iter().map(|g| g.map(|g| self.labels[g].clone())).collect();
        let beside = |score: &Score| ![Kind::LogPx.plain(), Kind::MaxP.plain()].contains(score);
        let others: Vec<(String, Vec<f64>)> = self
            .scores
            .iter()
            .filter(|(score, _)| beside(score))
            .map(|(score, values)| (score.name().to_owned(), values.clone()))
            .collect();
        Evaluation::new(Annotations {
            truth,
            predicted: &predicted,
            probability: &self.prob,
            log_density: self.score(Kind::LogPx.plain()),
            scores: &others,
            flagged: Some(&self.flagged),
            known: &self.labels,
        })
        .map_err(|e| e.to_string())
    }
}

fn numbers(obs: &Table, name: &str) -> Option<Vec<f64>> {
    obs.get(name)?.numbers()
}

fn flags(column: &Column) -> Vec<bool> {
    (0..column.len()).map(|row| column.text(row).as_deref() == Some("unknown")).collect()
}

/// A tree of values as lines `a: b`; lists are left out.
fn flatten(prefix: &str, value: &Value, out: &mut Vec<(String, String)>) {
    let text = match value {
        Value::Dict(entries) => {
            for (name, value) in entries {
                let name = if prefix.is_empty() { name.clone() } else { format!("{prefix}, {name}") };
                flatten(&name, value, out);
            }
            return;
        }
        Value::Str(v) => v.clone(),
        Value::Int(v) => v.to_string(),
        Value::Float(v) => format!("{v}"),
        Value::Bool(v) => v.to_string(),
        _ => return,
    };
    out.push((prefix.replace('_', " "), text));
}
