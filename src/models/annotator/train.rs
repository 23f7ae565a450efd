//! A training run: files in, run folder out.

use super::cells::{Query, Reference, ReferenceRules, query_rows_beside};
use super::features::{self, FeatureReport, Prepared};
use super::input;
use super::options::{TrainOptions, TrainSummary};
use super::profile::Settings;
use crate::data::Dataset;
use crate::data::batches::{Split, stratified_split};
use crate::data::genes::{Aliases, GeneMatch};
use crate::data::label_map::LabelMap;
use crate::data::select::{self, Condition};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::models::ebm::base::Base;
use crate::models::ebm::evaluate::{self, Figures};
use crate::models::ebm::{Cells, Network, Trainer};
use crate::models::run::{Manifest, Observer, RunFolder, State, Status, interrupt};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};

/// Longest stretch without a checkpoint.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(30);
/// Epochs that follow each other faster share a checkpoint.
const CHECKPOINT_REST: Duration = Duration::from_secs(3);

/// Trains a model and writes its run folder.
///
/// # Errors
/// `Error::Usage`, `Error::Data`, `Error::Format`, `Error::Io` for options and files that cannot be
/// used; `Error::Run` if the run folder is in the way or does not fit with `resume`;
/// `Error::Interrupted` (exit code 130) after Ctrl-C, with a checkpoint kept.
pub fn train(options: &TrainOptions, device: &Device, observer: &mut dyn Observer) -> Result<TrainSummary> {
    if !options.resume {
        RunFolder::check_free(&options.out, options.overwrite)?;
    }
    let inputs = Inputs::read(options, observer)?;
    interrupt::check("nothing was written")?;
    let split = stratified_split(&inputs.reference.y, inputs.settings.split, inputs.settings.split_seed);
    let features = inputs.features(&split, options.min_gene_overlap, observer)?;
    interrupt::check("nothing was written")?;
    Run { options, inputs, split, prepared: features, device }.run(observer)
}

/// What was read.
struct Inputs {
    reference: Reference,
    query: Option<Query>,
    settings: Settings,
}

impl Inputs {
    fn read(options: &TrainOptions, observer: &mut dyn Observer) -> Result<Inputs> {
        let layer = options.layer.as_deref();
        let batch_key = options.batch_key.as_deref();
        let mut dataset = input::read(&options.reference, layer, observer)?;
        if let Some(path) = &options.label_map {
            let place = format!("{}: obs", dataset.source);
            LabelMap::read(path)?.apply(&mut dataset.obs, &options.label_key, &place)?;
        }
        let rules = ReferenceRules {
            label_key: &options.label_key,
            batch_key,
            filter: &options.filter,
            hold_out: &options.hold_out,
            // read_matrix has put the layer in the place of X.
            layer: None,
        };
        let mut reference = Reference::new(&dataset, &rules)?;
        names_are_unique(&dataset, observer);
        let query = match &options.query {
            None if !options.query_filter.is_empty() => {
                return Err(Error::usage("--query-where without --query", "give the query file too"));
            }
            None => None,
            Some(path) if same_file(path, &options.reference) => {
                let place = format!("{}: obs", dataset.source);
                let rows = query_rows_beside(&dataset.obs, &options.filter, &options.query_filter, &place)?;
                Some(Query::new(&dataset, &rows, None, batch_key)?)
            }
            Some(path) => {
                let dataset = input::read(path, layer, observer)?;
                names_are_unique(&dataset, observer);
                let rows = select::rows(&dataset.obs, &options.query_filter, &format!("{}: obs", dataset.source))?;
                Some(Query::new(&dataset, &rows, None, batch_key)?)
            }
        };
        if let (Some(key), Some(query)) = (batch_key, &query)
            && query.batch.is_none()
        {
            observer.warn(&format!("{}: no column \"{key}\"; the query counts as one batch", query.expression.place));
        }
        let empty = features::empty_cells(&reference);
        // A matrix without any gene is refused as a whole later.
        if !empty.is_empty() && reference.expression.x.n_cols() > 0 {
            let cell = &reference.expression.cells[empty[0]];
            observer.warn(&format!(
                "{}: {} reference cells without counts (the first is {cell}) are left out; remove them with cytograd preprocess",
                reference.expression.place,
                empty.len()
            ));
            let kept: Vec<usize> = (0..reference.y.len()).filter(|row| empty.binary_search(row).is_err()).collect();
            reference = reference.select(&kept);
            if (0..reference.classes.len() as u32).any(|c| !reference.y.contains(&c)) {
                return Err(Error::data(
                    &reference.expression.place,
                    "a label has only cells without counts",
                    "leave it out with --hold-out, or choose another --layer",
                ));
            }
        }
        let settings = settings(options, reference.y.len());
        Ok(Inputs { reference, query, settings })
    }

    fn features(&self, split: &Split, min_overlap: f64, observer: &mut dyn Observer) -> Result<Prepared> {
        let n = self.reference.y.len();
        let n_query = self.query.as_ref().map_or(0, |q| q.expression.x.n_rows());
        observer.note(&format!(
            "reference: {n} cells, {} genes, {} labels; query: {}",
            self.reference.expression.var.n_rows(),
            self.reference.classes.len(),
            if self.query.is_some() { format!("{n_query} cells") } else { "none".into() },
        ));
        if let Some(Query { expression, .. }) = &self.query {
            let var = &self.reference.expression.var;
            let aliases = Aliases::of(var, &var.index);
            let found = GeneMatch::find_any(&var.index, &aliases, &expression.var, &expression.place)?;
            found.require_overlap(min_overlap)?;
        }
        observer.begin(0, "preparing features");
        let mut warnings = Vec::new();
        let result =
            features::fit(&self.reference, self.query.as_ref(), &split.train, &self.settings.features, &mut |w| {
                warnings.push(w.to_owned());
            });
        observer.end();
        warnings.iter().for_each(|w| observer.warn(w));
        let prepared = result?;
        tell(&prepared.report, observer);
        Ok(prepared)
    }
}

fn settings(options: &TrainOptions, n_reference: usize) -> Settings {
    let n_train = n_reference * 8 / 10;
    let mut settings = options.settings.clone().unwrap_or_else(|| options.profile.settings(options.model, n_train));
    if let Some(epochs) = options.epochs {
        // The schedule keeps its proportions.
        let old = settings.ebm.optim.epochs.max(1);
        settings.ebm.optim.decay_epochs.iter_mut().for_each(|e| *e = *e * epochs / old);
        settings.ebm.optim.epochs = epochs;
    }
    if let Some(select) = options.select {
        settings.select = select;
    }
    settings
}

fn tell(report: &FeatureReport, observer: &mut dyn Observer) {
    report.notes.iter().for_each(|note| observer.note(note));
    if let Some(shared) = report.shared_genes {
        observer.note(&format!("{shared} of {} reference genes are in the query", report.reference_genes));
    }
    if report.empty_query_cells > 0 {
        observer.warn(&format!(
            "{} query cells have no counts in these genes; they stay without label",
            report.empty_query_cells
        ));
    }
    match report.batches.len() {
        0 => observer.detail("one batch: no batch correction"),
        n => observer.note(&format!("Harmony levelled {n} batches in {} rounds", report.harmony_rounds.len())),
    }
}

pub(super) fn names_are_unique(dataset: &Dataset, observer: &mut dyn Observer) {
    let mut seen = std::collections::HashSet::new();
    let repeated = dataset.obs.index.iter().filter(|name| !seen.insert(name.as_str())).count();
    if repeated > 0 {
        observer.warn(&format!(
            "{}: {repeated} cell names occur more than once; results go by position, make the names unique",
            dataset.source
        ));
    }
}

fn same_file(a: &Path, b: &Path) -> bool {
    match (std::fs::canonicalize(a), std::fs::canonicalize(b)) {
        (Ok(a), Ok(b)) => a == b,
        _ => a == b,
    }
}

/// A run with everything at hand.
struct Run<'a> {
    options: &'a TrainOptions,
    inputs: Inputs,
    split: Split,
    prepared: Prepared,
    device: &'a Device,
}

impl Run<'_> {
    fn run(self, observer: &mut dyn Observer) -> Result<TrainSummary> {
        let settings = &self.inputs.settings;
        let classes = self.inputs.reference.classes.len();
        let mut trainer = Trainer::new(
            settings.ebm.clone(),
            settings.select,
            self.cells(&self.split.train),
            self.cells(&self.split.valid),
            classes,
            self.options.seed,
            self.device,
        )?;
        let manifest = self.manifest()?;
        let mut folder = if self.options.resume {
            let (mut folder, state) = RunFolder::resume(&self.options.out)?;
            self.fits(&folder, &manifest)?;
            if let Some(state) = state {
                trainer.restore(&state)?;
                observer.note(&format!("going on at iteration {}", trainer.iteration()));
            }
            if folder.manifest().status == Status::Done {
                if trainer.finished() {
                    observer.note("the run is finished already; nothing to do (give more --epochs to go on)");
                    let metrics = folder.manifest().metrics.clone();
                    return Ok(self.summary(metrics));
                }
                folder.reopen(|m| *m = Manifest { created: m.created.clone(), ..manifest.clone() })?;
            }
            folder
        } else {
            RunFolder::create(&self.options.out, self.options.overwrite, manifest)?
        };
        let started = Instant::now();
        self.iterate(&mut trainer, &folder, observer)?;
        let seconds = started.elapsed().as_secs_f64();
        if let Some(t) = trainer.divergence().at {
            observer.warn(&format!(
                "training diverged at iteration {t} ({}); {}",
                trainer.divergence().values.as_deref().unwrap_or(""),
                if trainer.best().is_some() {
                    "the best epoch before that is kept"
                } else {
                    "no epoch was complete before that"
                },
            ));
        }
        let kept = trainer.restore_best()?;
        let (model, mut metrics) = self.model(&trainer)?;
        metrics["seconds"] = json!((seconds * 100.0).round() / 100.0);
        metrics["best_epoch"] = json!(trainer.best().filter(|_| kept).map(|b| b.log.epoch));
        folder.finish(&model, metrics.clone())?;
        Ok(self.summary(metrics))
    }

    /// All iterations that are left.
    fn iterate(&self, trainer: &mut Trainer, folder: &RunFolder, observer: &mut dyn Observer) -> Result<()> {
        let epochs = self.inputs.settings.ebm.optim.epochs;
        let total = (epochs * trainer.iterations_per_epoch()) as u64;
        let mut log = folder.log(trainer.iteration())?;
        observer.begin(total, "training");
        let mut saved = Instant::now();
        let mut last_valid = trainer.best().map(|b| b.log.valid_accuracy);
        while !trainer.finished() {
            let stop = self.options.stop_after.is_some_and(|n| trainer.iteration() >= n);
            if stop || interrupt::requested() {
                folder.checkpoint(&trainer.state()?)?;
                log.sync()?;
                observer.end();
                let kept = format!(
                    "a checkpoint at iteration {} is in {}; go on with --resume",
                    trainer.iteration(),
                    folder.path().display()
                );
                return Err(Error::Interrupted { kept });
            }
            let clock = Instant::now();
            let step = trainer.step()?;
            let mut line = serde_json::to_value(&step).map_err(unwritable)?;
            // The log counts iterations done.
            line["t"] = json!(trainer.iteration());
            line["ms"] = json!((clock.elapsed().as_secs_f64() * 1e5).round() / 100.0);
            log.append(&line)?;
            let valid = last_valid.map_or(String::new(), |v| format!(", validation {:.1} %", 100.0 * v));
            observer.step(
                trainer.iteration(),
                format_args!("epoch {}/{epochs}, loss {:.3}{valid}", step.epoch + 1, step.loss),
            );
            if trainer.divergence().at.is_none() && trainer.epoch_is_full() {
                let epoch = trainer.end_epoch()?;
                last_valid = Some(epoch.valid_accuracy).filter(|v| !v.is_nan());
                log.append(&json!({ "t": trainer.iteration(), "end_of_epoch": epoch }))?;
                if saved.elapsed() >= CHECKPOINT_REST || trainer.finished() {
                    folder.checkpoint(&trainer.state()?)?;
                    saved = Instant::now();
                }
            } else if saved.elapsed() >= CHECKPOINT_EVERY {
                folder.checkpoint(&trainer.state()?)?;
                saved = Instant::now();
            }
        }
        if trainer.divergence().at.is_some() {
            folder.checkpoint(&trainer.state()?)?;
        }
        log.sync()?;
        observer.end();
        Ok(())
    }

    /// Network inputs of some reference cells.
    fn cells(&self, rows: &[usize]) -> Cells {
        let w = self.prepared.width;
        Cells {
            x: rows.iter().flat_map(|&r| self.prepared.reference[r * w..(r + 1) * w].iter().copied()).collect(),
            y: rows.iter().map(|&r| self.inputs.reference.y[r]).collect(),
            features: w,
        }
    }

    /// The model file's content and what was measured on the reference.
    fn model(&self, trainer: &Trainer) -> Result<(State, Value)> {
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
    fn manifest(&self) -> Result<Manifest> {
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
    fn fits(&self, folder: &RunFolder, new: &Manifest) -> Result<()> {
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

    fn summary(&self, metrics: Value) -> TrainSummary {
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

const NETWORK: &str = "network.";
const BUFFER: &str = "buffer";
pub(super) const CALIBRATION_LOG_PX: &str = "calibration.log_px";
const CALIBRATION_PROB: &str = "calibration.prob";
pub(super) const QUERY: &str = "query.features";

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

fn unwritable(e: serde_json::Error) -> Error {
    Error::Argument { op: "run", what: e.to_string() }
}
