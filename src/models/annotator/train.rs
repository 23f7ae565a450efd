//! A training run: files in, run folder out.

use super::features::Prepared;
use super::generate::save_reference;
use super::inputs::Inputs;
use super::method::Method;
use super::options::{TrainOptions, TrainSummary};
use super::preparation::Preparation;
use super::trained::{Learnt, folds};
use crate::data::batches::{Split, stratified_split};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::models::baselines::Baseline;
use crate::models::ebm::{Cells, Trainer};
use crate::models::run::{Manifest, Observer, RunFolder, Status, interrupt};
use serde_json::{Value, json};
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
    let options = &TrainOptions { preparation: preparation(options), ..options.clone() };
    let inputs = Inputs::read(options, observer)?;
    interrupt::check("nothing was written")?;
    let split = stratified_split(&inputs.reference.y, inputs.settings.split, inputs.settings.split_seed);
    let features = inputs.features(&split, options.min_gene_overlap, observer)?;
    interrupt::check("nothing was written")?;
    Run { options, inputs, split, prepared: features, device }.run(observer)
}

/// What is asked for; to go on with a run that a rehearsal has chosen the preparation of, that one.
fn preparation(options: &TrainOptions) -> Option<Preparation> {
    let chosen = || {
        let manifest = RunFolder::manifest_of(&options.out).ok().filter(|_| options.resume)?;
        Preparation::from_name(manifest.configuration["preparation"].as_str()?).ok()
    };
    options.preparation.or_else(chosen)
}

/// A run with everything at hand.
pub(super) struct Run<'a> {
    pub options: &'a TrainOptions,
    pub inputs: Inputs,
    pub split: Split,
    pub prepared: Prepared,
    pub device: &'a Device,
}

impl Run<'_> {
    fn run(self, observer: &mut dyn Observer) -> Result<TrainSummary> {
        match self.options.model {
            Method::Network(_) => self.train_network(observer),
            Method::Baseline(baseline) => self.fit_baseline(baseline, observer),
        }
    }

    /// A fit takes seconds: an unfinished run starts again.
    fn fit_baseline(self, baseline: Baseline, observer: &mut dyn Observer) -> Result<TrainSummary> {
        let manifest = self.manifest()?;
        let mut folder = if self.options.resume {
            let (folder, _) = RunFolder::resume(&self.options.out)?;
            self.fits(&folder, &manifest)?;
            if folder.manifest().status == Status::Done {
                observer.note("the run is finished already; nothing to do");
                let metrics = folder.manifest().metrics.clone();
                return Ok(self.summary(metrics));
            }
            folder
        } else {
            RunFolder::create(&self.options.out, self.options.overwrite, manifest)?
        };
        let started = Instant::now();
        observer.begin(0, "fitting");
        let classes = self.inputs.reference.classes.len();
        let mut held_out = [self.split.valid.as_slice(), &self.split.test].concat();
        held_out.sort_unstable();
        // Without a query those that took no part in the preparation.
        let parts = match self.inputs.query.is_some() || held_out.is_empty() {
            true => folds(&self.inputs.reference.y, self.inputs.settings.split_seed)?,
            false => vec![held_out],
        };
        let learnt = Learnt::baseline(baseline, &self.all_cells(), classes, &parts);
        observer.end();
        interrupt::check("the run is unfinished; start it again with --resume")?;
        let (model, mut metrics) = self.model(&learnt?)?;
        metrics["seconds"] = seconds(started);
        folder.finish(&model, metrics.clone())?;
        Ok(self.summary(metrics))
    }

    fn train_network(self, observer: &mut dyn Observer) -> Result<TrainSummary> {
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
        let took = seconds(started);
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
        let mut of_training = json!({
            "divergence": trainer.divergence(),
            "diverged": trainer.divergence().at.is_some(),
            "iterations": trainer.iteration(),
            "on_iterations": trainer.on_iterations(),
            "seconds": took,
            "best_epoch": trainer.best().filter(|_| kept).map(|b| b.log.epoch),
        });
        let generative = trainer.generative()?;
        let learnt = Learnt::network(trainer.into_network(), &self.all_cells(), &self.split, self.device)?;
        let (mut model, mut metrics) = self.model(&learnt)?;
        generative.into_iter().for_each(|(name, shape, values)| model.set(name, &shape, values));
        let held_out = [self.split.valid.as_slice(), &self.split.test].concat();
        save_reference(&mut model, &self.cells(&self.split.train), &self.cells(&held_out));
        if let (Some(all), Some(more)) = (metrics.as_object_mut(), of_training.as_object_mut()) {
            all.append(more);
        }
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
            let restarts = trainer.divergence().restarts.len();
            let stop_after = self.options.stop_after.unwrap_or(u64::MAX);
            let steps = trainer.steps(stop_after, &interrupt::requested)?;
            if let [.., at] = trainer.divergence().restarts[restarts..] {
                // The log reads as if the lost iterations had not been; the manifest counts them.
                observer.warn(&format!(
                    "diverged at iteration {at}; going on from iteration {} with longer chains and a lower learning rate",
                    trainer.iteration()
                ));
                log = folder.log(trainer.iteration())?;
                continue;
            }
            let each = clock.elapsed().as_secs_f64() / steps.len() as f64;
            let valid = last_valid.map_or(String::new(), |v| format!(", validation {:.1} %", 100.0 * v));
            for step in steps {
                let mut line = serde_json::to_value(&step).map_err(unwritable)?;
                // The log counts iterations done.
                line["t"] = json!(step.t + 1);
                line["ms"] = json!((each * 1e5).round() / 100.0);
                log.append(&line)?;
                observer
                    .step(step.t + 1, format_args!("epoch {}/{epochs}, loss {:.3}{valid}", step.epoch + 1, step.loss));
            }
            if trainer.divergence().at.is_none() && trainer.epoch_is_full() {
                let epoch = trainer.end_epoch()?;
                last_valid = Some(epoch.valid_accuracy).filter(|v| !v.is_nan());
                log.append(&json!({ "t": trainer.iteration(), "end_of_epoch": epoch }))?;
                trainer.take_warnings().iter().for_each(|w| observer.warn(w));
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

    fn all_cells(&self) -> Cells {
        self.cells(&(0..self.inputs.reference.y.len()).collect::<Vec<_>>())
    }

    /// Features of some reference cells.
    pub fn cells(&self, rows: &[usize]) -> Cells {
        let w = self.prepared.width;
        Cells {
            x: rows.iter().flat_map(|&r| self.prepared.reference[r * w..(r + 1) * w].iter().copied()).collect(),
            y: rows.iter().map(|&r| self.inputs.reference.y[r]).collect(),
            features: w,
        }
    }
}

/// Seconds since then, to two digits.
fn seconds(started: Instant) -> Value {
    json!((started.elapsed().as_secs_f64() * 100.0).round() / 100.0)
}

pub(super) fn unwritable(e: serde_json::Error) -> Error {
    Error::Argument { op: "run", what: e.to_string() }
}
