//! What a run folder holds of a training run: the model file, the manifest, and the network read back.

use super::options::TrainSummary;
use super::profile::Settings;
use super::train::{Run, unwritable};
use crate::data::select::Condition;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::models::ebm::base::Base;
use crate::models::ebm::evaluate::{self, Figures};
use crate::models::ebm::{Network, Trainer};
use crate::models::run::{Manifest, RunFolder, State};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

const NETWORK: &str = "network.";
const BUFFER: &str = "buffer";
pub(super) const CALIBRATION_LOG_PX: &str = "calibration.log_px";
const CALIBRATION_PROB: &str = "calibration.prob";
pub(super) const QUERY: &str = "query.features";

impl Run<'_> {
    /// The model file's content and what was measured on the reference.
    pub fn model(&self, trainer: &Trainer) -> Result<(State, Value)> {
        let mut state = State::default();
        for (name, shape, values) in trainer.network().export()? {
            state.set(format!("{NETWORK}{name}"), &shape, values);
        }
        if let Some(sampler) = trainer.sampler() {
            let slots = sampler.buffer().slots();
            state.set(BUFFER, slots.shape(), slots.to_vec()?);
        }
        self.prepared.model.save(&mut state)?;
        let measured = |rows: &[usize]| -> Result<(Option<Figures>, evaluate::Readings)> {
            let cells = self.cells(rows);
            let logits = evaluate::logits(trainer.network(), &cells.x, self.device)?;
            let figures = (!cells.is_empty()).then(|| evaluate::figures(&logits, &cells.y));
            Ok((figures, evaluate::readings(&logits)))
        };
        let (train, _) = measured(&self.split.train)?;
        let (valid, valid_readings) = measured(&self.split.valid)?;
        let (test, test_readings) = measured(&self.split.test)?;
        let join = |a: &[f32], b: &[f32]| [a, b].concat();
        let log_px = join(&valid_readings.log_px, &test_readings.log_px);
        let prob = join(&valid_readings.prob, &test_readings.prob);
        state.set(CALIBRATION_LOG_PX, &[log_px.len()], log_px);
        state.set(CALIBRATION_PROB, &[prob.len()], prob);
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
        let metrics = json!({
            "train": train.map(figures_json),
            "valid": valid.map(figures_json),
            "test": test.map(figures_json),
            "divergence": trainer.divergence(),
            "diverged": trainer.divergence().at.is_some(),
            "iterations": trainer.iteration(),
            "on_iterations": trainer.on_iterations(),
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
        });
        Ok(manifest)
    }

    /// Whether the run in the folder is one of the same model, data, settings and seed.
    pub fn fits(&self, folder: &RunFolder, new: &Manifest) -> Result<()> {
        let old = folder.manifest();
        // Only more epochs may differ; the schedule is then that of the new number.
        let strip = |m: &Manifest| {
            let mut c = m.configuration.clone();
            let optim = &mut c["settings"]["ebm"]["optim"];
            optim["epochs"] = Value::Null;
            optim["decay_epochs"] = Value::Null;
            c
        };
        let checks = [
            ("model", old.model == new.model),
            ("seed", old.seed == new.seed),
            ("math mode", old.math == new.math),
            ("labels", old.labels == new.labels),
            ("reference cells", old.preprocessing["reference"] == new.preprocessing["reference"]),
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

/// The network of a model file.
pub(super) fn load_network(
    settings: &Settings,
    state: &State,
    width: usize,
    classes: usize,
    device: &Device,
) -> Result<Network> {
    let mut network = Network::new(&settings.ebm.net, width, classes, 0, device)?;
    let named: Vec<(String, Vec<usize>, Vec<f32>)> = state
        .tensors
        .iter()
        .filter_map(|(name, (shape, values))| {
            Some((name.strip_prefix(NETWORK)?.to_owned(), shape.clone(), values.clone()))
        })
        .collect();
    network.import(&named)?;
    network.set_base(Base::import(&named, width, classes, device)?);
    Ok(network)
}

fn figures_json(f: Figures) -> Value {
    json!({ "accuracy": f.accuracy, "cross_entropy": f.cross_entropy, "ece": f.ece })
}
