//! A rehearsal: each type of the reference in turn is left out and looked for in cells that stand for a
//! query, so that one knows, before trusting a flag on an unknown sample, which unseen types this
//! reference and model would catch and which they would miss.
//!
//! Where the reference has several batches, one batch plays the query and the type is left out of the
//! others: a real query differs from its reference by more than its cells. Otherwise a fifth of the
//! cells of every other type and all of the type itself play it. Everything that training does is done
//! anew for every trial; nothing but the reference is looked at.

mod figures;
mod plan;
mod trial;

pub use figures::{Rehearsal, ScoreFigures, TypeFigures, Verdict};
pub use trial::{Trial, TrialScore};

use super::inputs::Inputs;
use super::method::Method;
use super::options::TrainOptions;
use super::profile::Settings;
use crate::data::select::Condition;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::models::run::{Manifest, Observer, RunFolder, together};
use plan::Plan;
use serde_json::{Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;
use trial::Outcome;

/// What to rehearse.
#[derive(Clone, Debug)]
pub struct RehearseOptions {
    /// Run folder of a finished training.
    pub run: PathBuf,
    /// Where the reference is now, if it has moved.
    pub reference: Option<PathBuf>,
    /// Column of obs whose values play the query in turn, in place of the run's batches.
    pub by: Option<String>,
    /// Types to leave out; all of them if empty.
    pub types: Vec<String>,
    /// Share of cells of known types that may be called unknown.
    pub fpr: f64,
    /// Trainings of each trial, with seeds that follow each other.
    pub repeats: usize,
    /// Trials at a time.
    pub threads: usize,
}

impl RehearseOptions {
    /// Everything else at its default.
    pub fn new(run: impl Into<PathBuf>) -> RehearseOptions {
        RehearseOptions {
            run: run.into(),
            reference: None,
            by: None,
            types: Vec::new(),
            fpr: 0.05,
            repeats: 1,
            threads: 1,
        }
    }
}

/// Finished trials, one a line, until the rehearsal is whole.
const PARTIAL: &str = "checkpoint/rehearsal.jsonl";
const RESULT: &str = "rehearsal.json";

/// Rehearses with the reference and the settings of a finished run; the result is stored in its folder,
/// and the best score is the run's own from now on.
///
/// # Errors
/// `Error::Run` if the run cannot be used, `Error::Usage` and `Error::Data` for a reference that has
/// changed or types and columns that it does not have, `Error::Interrupted` after Ctrl-C; then the
/// trials that are done are kept, and the same call goes on.
pub fn rehearse(options: &RehearseOptions, device: &Device, observer: &mut dyn Observer) -> Result<Rehearsal> {
    if !(options.fpr > 0.0 && options.fpr < 1.0) {
        return Err(Error::usage(format!("--fpr {}", options.fpr), "give a rate between 0 and 1, as in 0.05"));
    }
    let mut folder = RunFolder::open(&options.run)?;
    let train = training(options, folder.manifest())?;
    let inputs = Inputs::read(&train, observer)?;
    if let Some(odd) = options.types.iter().find(|t| !inputs.reference.classes.contains(t)) {
        let known = inputs.reference.classes.join(", ");
        return Err(Error::usage(format!("--type {odd}"), format!("the reference has {known}")));
    }
    let plans = Plan::all(&inputs.reference, &options.types, &inputs.settings, options.repeats, train.seed);
    let started = Instant::now();
    let key = json!({
        "model": folder.model_checksum(),
        "by": options.by,
        "fpr": options.fpr,
        "seed": train.seed,
    });
    let partial = Partial { path: folder.path().join(PARTIAL) };
    let mut outcomes = partial.read(&key, &plans.trials);
    if outcomes.iter().any(Option::is_some) {
        let done = outcomes.iter().flatten().count();
        observer.note(&format!("{done} of {} trials were done before", outcomes.len()));
    }
    let stage = Stage { inputs: &inputs, train: &train, fpr: options.fpr, device };
    let result = stage.play(&plans.trials, &mut outcomes, options.threads, observer);
    partial.write(&key, &plans.trials, &outcomes)?;
    if let Err(error) = result {
        return Err(match error {
            Error::Interrupted { .. } => Error::Interrupted {
                kept: format!(
                    "{} of {} trials are kept; the same command goes on",
                    outcomes.iter().flatten().count(),
                    outcomes.len()
                ),
            },
            other => other,
        });
    }
    let seconds = (started.elapsed().as_secs_f64() * 100.0).round() / 100.0;
    let by = inputs.reference.batch.is_some().then(|| train.batch_key.clone()).flatten().filter(|_| plans.by_batch);
    let name = folder.manifest().model.clone();
    let rehearsal =
        Rehearsal::new(options, name, by, plans.skipped, outcomes.into_iter().flatten(), train.model.score(), seconds)?;
    let text = serde_json::to_string_pretty(&rehearsal).map_err(unwritable)?;
    folder.attach(RESULT, format!("{text}\n").as_bytes(), |manifest| {
        manifest.configuration["score"] = json!(rehearsal.chosen);
    })?;
    partial.remove();
    Ok(rehearsal)
}

/// The options that a run was trained with, but for its query.
fn training(options: &RehearseOptions, manifest: &Manifest) -> Result<TrainOptions> {
    let unusable = |what: String| Error::Run {
        path: options.run.clone(),
        what: format!("cannot be rehearsed ({what})"),
        fix: "train again with this version".into(),
    };
    let about = &manifest.preprocessing;
    let of = &about["reference"];
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let reference = options.reference.clone().or_else(|| text(&of["path"]).map(PathBuf::from));
    let reference = reference
        .ok_or_else(|| Error::usage("the run does not say where its reference is", "name it with --reference"))?;
    let method = Method::from_name(&manifest.model).map_err(|e| unusable(e.to_string()))?;
    let label_key = text(&of["label_key"]).ok_or_else(|| unusable("it has no label column".into()))?;
    let mut train = TrainOptions::new(method, reference, &label_key, &options.run);
    let settings: Settings = serde_json::from_value(manifest.configuration["settings"].clone())
        .map_err(|e| unusable(format!("settings: {e}")))?;
    train.settings = Some(settings);
    train.seed = manifest.seed;
    train.layer = text(&about["layer"]);
    train.batch_key = options.by.clone().or_else(|| text(&about["batch_key"]));
    train.label_map = text(&of["label_map"]).map(PathBuf::from);
    train.hold_out = serde_json::from_value(of["hold_out"].clone()).unwrap_or_default();
    let conditions: Vec<String> = serde_json::from_value(of["where"].clone()).unwrap_or_default();
    train.filter = conditions
        .iter()
        .map(|c| c.parse::<Condition>().map_err(|e| unusable(e.to_string())))
        .collect::<Result<_>>()?;
    Ok(train)
}

/// What all trials share.
struct Stage<'a> {
    inputs: &'a Inputs,
    train: &'a TrainOptions,
    fpr: f64,
    device: &'a Device,
}

impl Stage<'_> {
    /// Plays the trials that have no outcome yet, several at a time; every outcome is where its plan is,
    /// whichever comes first.
    fn play(
        &self,
        plans: &[Plan],
        outcomes: &mut [Option<Outcome>],
        threads: usize,
        observer: &mut dyn Observer,
    ) -> Result<()> {
        let open: Vec<usize> = (0..plans.len()).filter(|&i| outcomes[i].is_none()).collect();
        observer.begin(open.len() as u64, "rehearsing");
        let mut done = 0;
        let played = together(
            &open,
            threads,
            self.device,
            &|at, device| trial::play(&plans[at], self.inputs, self.train, self.fpr, device),
            &mut |at, outcome| {
                done += 1;
                observer.step(done, format_args!("{} without {}", plans[at].query_name, plans[at].left_out_name));
                outcomes[at] = Some(outcome);
                Ok(())
            },
        );
        observer.end();
        played
    }
}

/// Outcomes between an interruption and the next start.
struct Partial {
    path: PathBuf,
}

impl Partial {
    /// What is there of these trials; nothing if it belongs to another rehearsal.
    fn read(&self, key: &Value, plans: &[Plan]) -> Vec<Option<Outcome>> {
        let mut found = vec![None; plans.len()];
        let text = std::fs::read_to_string(&self.path).unwrap_or_default();
        let mut lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        if lines.next().as_ref() != Some(key) {
            return found;
        }
        for mut line in lines {
            let at = plans.iter().position(|plan| json!(plan.name()) == line["trial"]);
            if let (Some(at), Ok(outcome)) = (at, serde_json::from_value(line["outcome"].take())) {
                found[at] = Some(outcome);
            }
        }
        found
    }

    fn write(&self, key: &Value, plans: &[Plan], outcomes: &[Option<Outcome>]) -> Result<()> {
        let mut bytes = format!("{key}\n").into_bytes();
        for (plan, outcome) in plans.iter().zip(outcomes) {
            if let Some(outcome) = outcome {
                // Writing to memory does not fail.
                let _ = writeln!(bytes, "{}", json!({ "trial": plan.name(), "outcome": outcome }));
            }
        }
        let folder = self.path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, "creating", e))?;
        crate::models::run::write_whole(&self.path, &bytes)
    }

    fn remove(&self) {
        // What is left does no harm: it belongs to no later rehearsal.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn unwritable(e: serde_json::Error) -> Error {
    Error::Argument { op: "rehearsal", what: e.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(left_out: &str) -> Plan {
        Plan {
            left_out: 0,
            left_out_name: left_out.into(),
            query_name: "b1".into(),
            reference: vec![],
            query: vec![],
            by_batch: true,
            seed: 3,
        }
    }

    #[test]
    fn kept_trials_are_found_again_by_the_same_rehearsal_only() {
        let folder = tempfile::tempdir().unwrap();
        let partial = Partial { path: folder.path().join(PARTIAL) };
        let plans = [plan("a"), plan("b"), plan("c")];
        let done = |name: &str| Some(Outcome::Impossible { left_out: name.into(), why: "too few".into() });
        let outcomes = [done("a"), None, done("c")];
        let key = json!({ "seed": 3 });
        assert_eq!(partial.read(&key, &plans), [None, None, None]);
        partial.write(&key, &plans, &outcomes).unwrap();
        assert_eq!(partial.read(&key, &plans), outcomes);
        assert_eq!(partial.read(&json!({ "seed": 4 }), &plans), [None, None, None]);
        let others = [plan("c"), plan("d")];
        assert_eq!(partial.read(&key, &others), [done("c"), None]);
        // A line that was cut short counts as not there.
        let text = std::fs::read_to_string(&partial.path).unwrap();
        std::fs::write(&partial.path, &text[..text.len() - 9]).unwrap();
        assert_eq!(partial.read(&key, &plans), [done("a"), None, None]);
        partial.remove();
        assert!(!partial.path.exists());
    }
}
