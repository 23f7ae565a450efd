//! What a run folder holds of a training run: the model file and the manifest.

use super::method::Method;
use super::options::TrainSummary;
use super::score::{Kind, Score};
use super::train::{Run, unwritable};
use super::trained::Learnt;
use crate::data::select::Condition;
use crate::error::{Error, Result};
use crate::models::run::{Manifest, RunFolder, State};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::Path;

pub(super) const QUERY: &str = "query.features";
const CALIBRATION: &str = "calibration.";

impl Run<'_> {
    /// The model file's content and what was measured on the reference.
    pub fn model(&self, learnt: &Learnt) -> Result<(State, Value)> {
        let mut state = State { json: json!({}), ..State::default() };
        learnt.trained.save(&mut state)?;
        learnt.familiarity.save(&mut state);
        self.prepared.model.save(&mut state)?;
        for (score, values) in learnt.held_out.scores.iter() {
            state.set(format!("{CALIBRATION}{}", score.name()), &[values.len()], values.to_vec());
        }
        if let (Some(query), Some(x)) = (&self.inputs.query, &self.prepared.query) {
            let n = query.expression.x.n_rows();
            state.set(QUERY, &[n, self.prepared.width], x.clone());
            let at_hand = QueryAtHand {
                checksum: query.expression.checksum(),
                cells: n,
                empty: (0..n).filter(|&row| self.prepared.empty_query[row]).collect(),
            };
            state.json["query"] = serde_json::to_value(at_hand).map_err(unwritable)?;
        }
        let train = self.cells(&self.split.train);
        let of_train = learnt.trained.answers(&train.x, self.device)?;
        let held_out = |rows: &[usize]| {
            let at: Vec<usize> = (0..learnt.held_out.rows.len())
                .filter(|&i| rows.binary_search(&learnt.held_out.rows[i]).is_ok())
                .collect();
            let y: Vec<u32> = at.iter().map(|&i| self.inputs.reference.y[learnt.held_out.rows[i]]).collect();
            learnt.held_out.answers.figures(&at, &y)
        };
        let metrics = json!({
            "train": of_train.figures(&(0..train.len()).collect::<Vec<_>>(), &train.y),
            "valid": held_out(&self.split.valid),
            "test": held_out(&self.split.test),
        });
        Ok((state, metrics))
    }

    /// The run's manifest at its start.
    pub fn manifest(&self) -> Result<Manifest> {
        let o = self.options;
        let mut manifest = Manifest::new(o.model.name());
        manifest.seed = o.seed;
        manifest.math = o.math.clone();
        manifest.device = self.device.name().into();
        manifest.labels = self.inputs.reference.classes.clone();
        manifest.genes = self.prepared.model.genes.clone();
        let texts = |conditions: &[Condition]| conditions.iter().map(Condition::to_string).collect::<Vec<_>>();
        let expression = &self.inputs.reference.expression;
        let query = self.inputs.query.as_ref().map(|q| {
            json!({
                "file": q.expression.place,
                "path": o.query.as_deref().map(absolute),
                "where": texts(&o.query_filter),
                "cells": q.expression.x.n_rows(),
                "checksum": q.expression.checksum(),
            })
        });
        manifest.preprocessing = json!({
            "features": self.inputs.settings.features,
            "report": self.prepared.report,
            "layer": o.layer,
            "batch_key": o.batch_key,
            "reference": {
                "file": expression.place,
                "path": absolute(&o.reference),
                "label_map": o.label_map.as_deref().map(absolute),
                "label_key": o.label_key,
                "where": texts(&o.filter),
                "hold_out": o.hold_out,
                "cells": expression.x.n_rows(),
                "checksum": expression.checksum(),
                "split": { "train": self.split.train.len(), "valid": self.split.valid.len(), "test": self.split.test.len() },
            },
            "query": query,
        });
        manifest.configuration = json!({
            "profile": o.profile.resolve(self.split.train.len()),
            "settings": self.inputs.settings,
            "score": o.model.score(),
        });
        if let (Method::Baseline(_), Some(settings)) = (o.model, manifest.configuration["settings"].as_object_mut()) {
            ["ebm", "select"].iter().for_each(|unused| drop(settings.remove(*unused)));
        }
        Ok(manifest)
    }

    /// Whether the run in the folder is one of the same model, data, settings and seed.
    pub fn fits(&self, folder: &RunFolder, new: &Manifest) -> Result<()> {
        let old = folder.manifest();
        // Only more epochs may differ; the schedule is then that of the new number.
        let strip = |m: &Manifest| {
            let mut c = m.configuration.clone();
            // A rehearsal may have chosen others.
            c["score"] = Value::Null;
            c["preparation"] = Value::Null;
            if let Some(optim) = c.pointer_mut("/settings/ebm/optim") {
                optim["epochs"] = Value::Null;
                optim["decay_epochs"] = Value::Null;
            }
            c
        };
        let checks = [
            ("model", old.model == new.model),
            ("seed", old.seed == new.seed),
            ("math mode", old.math == new.math),
            ("labels", old.labels == new.labels),
            (
                "reference cells",
                without_place(&old.preprocessing["reference"]) == without_place(&new.preprocessing["reference"]),
            ),
            ("query cells", old.preprocessing["query"]["checksum"] == new.preprocessing["query"]["checksum"]),
            ("features", old.genes == new.genes && old.preprocessing["features"] == new.preprocessing["features"]),
            ("settings", strip(old) == strip(new)),
        ];
        match checks.iter().find(|(_, fits)| !fits) {
            None => Ok(()),
            Some((what, _)) => Err(Error::Run {
                path: folder.path().to_owned(),
                what: format!("was started with another {what}"),
                fix: "resume with the options of its start, or train into another --out".into(),
            }),
        }
    }

    pub fn summary(&self, metrics: Value) -> TrainSummary {
        TrainSummary {
            run: self.options.out.clone(),
            model: self.options.model.name().into(),
            classes: self.inputs.reference.classes.clone(),
            train_cells: self.split.train.len(),
            valid_cells: self.split.valid.len(),
            test_cells: self.split.test.len(),
            query_cells: self.inputs.query.as_ref().map(|q| q.expression.x.n_rows()),
            features: self.prepared.width,
            metrics,
        }
    }
}

/// The query that took part in the preparation.
#[derive(Serialize, Deserialize)]
pub(super) struct QueryAtHand {
    pub checksum: String,
    pub cells: usize,
    /// Rows without counts.
    pub empty: Vec<usize>,
}

/// Where a file is, whatever the folder of the next command.
fn absolute(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).to_string_lossy().into_owned()
}

/// What the manifest says of the reference, wherever it is.
fn without_place(reference: &Value) -> Value {
    let mut rest = reference.clone();
    if let Some(fields) = rest.as_object_mut() {
        ["path", "label_map"].iter().for_each(|field| drop(fields.remove(*field)));
    }
    rest
}

/// The calibration cells' values of a score, if the run has it.
pub(super) fn calibration(state: &State, score: Score) -> Option<&[f32]> {
    // Runs of before had two, under other names.
    let before = match (score.smooth, score.kind) {
        (false, Kind::LogPx) => "log_px",
        (false, Kind::MaxP) => "prob",
        _ => score.name(),
    };
    let found = [score.name(), before].iter().find_map(|name| state.tensors.get(&format!("{CALIBRATION}{name}")));
    found.map(|(_, values)| values.as_slice())
}
