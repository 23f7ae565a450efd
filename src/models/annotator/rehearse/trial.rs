//! One trial: train without a type, look for it in the cells that play the query.

use super::super::cells::Query;
use super::super::features;
use super::super::score::Score;
use super::super::trained::Lesson;
use super::Stage;
use super::plan::Plan;
use crate::analysis::conformal::Conformal;
use crate::analysis::metrics::ranking::auroc;
use crate::data::batches::stratified_split;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::models::ebm::Cells;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// What one trial found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Type that was left out.
    pub left_out: String,
    /// What played the query.
    pub query: String,
    /// Seed of the training.
    pub seed: u64,
    /// Cells learnt from.
    pub reference_cells: usize,
    /// Cells of types that the model knew.
    pub known_cells: usize,
    /// Cells of the type that was left out.
    pub unknown_cells: usize,
    /// Share of the known cells with the right label; in the query at hand with the run's.
    pub accuracy: f64,
    /// Labels that the unknown cells got.
    pub becomes: BTreeMap<String, usize>,
    /// How well each score finds them.
    pub scores: Vec<TrialScore>,
}

/// How well one score finds the cells of the type that was left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrialScore {
    /// Which one.
    pub score: Score,
    /// Known against unknown cells.
    pub auroc: f64,
    /// Share of the unknown cells that are flagged at the chosen rate.
    pub power: f64,
    /// Share of the known cells that are flagged at that rate.
    pub false_alarms: f64,
}

/// A trial's end: what it found, or why nothing can be found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Outcome {
    Done(Trial),
    Impossible { left_out: String, why: String },
}

/// Plays a trial.
///
/// # Errors
/// `Error::Interrupted`, and those of the device; data that cannot be learnt from are an outcome.
pub(super) fn play(plan: &Plan, stage: &Stage, device: &Device) -> Result<Outcome> {
    match find(plan, stage, device) {
        Ok(trial) => Ok(Outcome::Done(trial)),
        Err(error @ (Error::Data { .. } | Error::Argument { .. })) => {
            Ok(Outcome::Impossible { left_out: plan.left_out_name.clone(), why: error.to_string() })
        }
        Err(other) => Err(other),
    }
}

/// What plays the query, and the class of each of its cells: the true one, or what the run says of cells at
/// hand, whose true one is nowhere.
fn query<'a>(plan: &Plan, stage: &'a Stage) -> Result<(Cow<'a, Query>, Vec<Option<u32>>)> {
    let whole = &stage.inputs.reference;
    match (&plan.query, &stage.inputs.query) {
        (Some(rows), _) => {
            let batch = whole.batch.as_ref().filter(|_| plan.by_batch);
            let query = Query {
                expression: whole.expression.select(rows),
                batch: batch.map(|b| rows.iter().map(|&row| b[row].clone()).collect()),
            };
            Ok((Cow::Owned(query), rows.iter().map(|&row| Some(whole.y[row])).collect()))
        }
        (None, Some(query)) => Ok((Cow::Borrowed(query), stage.said.clone())),
        (None, None) => Err(Error::Argument { op: "rehearsal", what: "there is no query at hand".into() }),
    }
}

fn find(plan: &Plan, stage: &Stage, device: &Device) -> Result<Trial> {
    let (whole, train, fpr) = (&stage.inputs.reference, stage.train, stage.fpr);
    let settings = stage.settings(plan);
    let mut reference = whole.only(&plan.reference);
    if !plan.by_batch {
        // The query is then a batch of its own.
        reference.batch = None;
    }
    let (query, class) = query(plan, stage)?;
    let split = stratified_split(&reference.y, settings.split, settings.split_seed);
    let prepared = features::fit(&reference, Some(query.as_ref()), &split.train, &settings.features, &mut |_| {})?;
    let (x, empty) = match prepared.query {
        Some(x) => (x, prepared.empty_query),
        None => {
            let projected = prepared.model.project(query.as_ref(), train.min_gene_overlap, &mut |_| {})?;
            (projected.x, projected.empty)
        }
    };
    let cells = Cells { x: prepared.reference, y: reference.y.clone(), features: prepared.width };
    let classes = reference.classes.len();
    let lesson = Lesson::take(train.model, settings, &cells, &split, classes, plan.seed, device)?;
    let diverged = || Error::data("training", "diverged in its first epoch", "train another model");
    let learnt = lesson.learnt.ok_or_else(diverged)?;
    let (answers, scores) = learnt.judge(&x, prepared.width, &empty, device)?;
    let held_out = &learnt.held_out.scores;

    let name = |row: usize| class[row].map(|class| whole.classes[class as usize].as_str());
    let here = |row: &usize| !empty[*row];
    let unknown: Vec<usize> = (0..empty.len()).filter(here).filter(|&row| class[row] == Some(plan.left_out)).collect();
    let known: Vec<usize> = (0..empty.len())
        .filter(here)
        .filter(|&row| name(row).is_some_and(|name| reference.classes.iter().any(|c| c == name)))
        .collect();
    if known.is_empty() || unknown.is_empty() {
        return Err(Error::data("the query", "no cell has counts in the genes used", "filter cells before training"));
    }
    let said = |row: usize| reference.classes[answers.label[row] as usize].as_str();
    let mut becomes = BTreeMap::new();
    unknown.iter().for_each(|&row| *becomes.entry(said(row).to_owned()).or_insert(0) += 1);
    let right = known.iter().filter(|&&row| Some(said(row)) == name(row)).count();
    let mut found = Vec::new();
    for (score, values) in scores.iter() {
        let of = |rows: &[usize]| rows.iter().map(|&row| f64::from(values[row])).collect::<Vec<f64>>();
        let (of_known, of_unknown) = (of(&known), of(&unknown));
        let calibration: Vec<f64> = held_out.get(score).unwrap_or_default().iter().map(|&v| f64::from(v)).collect();
        if calibration.is_empty() || of_known.iter().chain(&of_unknown).chain(&calibration).any(|v| v.is_nan()) {
            continue;
        }
        let conformal = Conformal::new(&calibration)?;
        let positive: Vec<bool> = (0..known.len() + unknown.len()).map(|i| i < known.len()).collect();
        found.push(TrialScore {
            score,
            auroc: auroc(&positive, &[of_known.as_slice(), &of_unknown].concat())?,
            power: conformal.power(&of_unknown, fpr)?,
            false_alarms: conformal.flagged_share(&of_known, fpr)?,
        });
    }
    Ok(Trial {
        left_out: plan.left_out_name.clone(),
        query: plan.query_name.clone(),
        seed: plan.seed,
        reference_cells: plan.reference.len(),
        known_cells: known.len(),
        unknown_cells: unknown.len(),
        accuracy: right as f64 / known.len() as f64,
        becomes,
        scores: found,
    })
}
