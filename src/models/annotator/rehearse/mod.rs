//! A rehearsal: each type of the reference in turn is left out and looked for in cells that stand for a
//! query, so that one knows, before trusting a flag on an unknown sample, which unseen types this
//! reference and model would catch and which they would miss.
//!
//! With a query at hand it plays itself ([`On::Query`]): the run labels it, and the cells that it calls by
//! the name of a type are looked for by a model that does not know the type. So the trials have the batch
//! effects that the flags will meet; true labels of the query play no part, nothing here can reach them.
//! Without one, or if asked for, the reference does ([`On::Reference`]): where it has several batches, one
//! of them, of which the others know all types but one; otherwise a fifth of the cells of every other type
//! and all of the type itself. Everything that training does is done anew for every trial.
//!
//! In a query at hand both ways to make features are tried ([`Preparation`]), and [`anew`] trains the run
//! again with the one that finds more.

mod anew;
mod figures;
mod partial;
mod plan;
mod trial;

pub use anew::anew;
pub use figures::{On, Rehearsal, ScoreFigures, TypeFigures, Verdict};
pub use trial::{Trial, TrialScore};

use super::annotate;
use super::cells::Query;
use super::features::FeatureConfig;
use super::inputs::Inputs;
use super::method::Method;
use super::opened::Opened;
use super::options::TrainOptions;
use super::preparation::Preparation;
use super::profile::{SMALL_REFERENCE, Settings};
use crate::data::select::Condition;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::models::run::{Manifest, Observer, RunFolder, together};
use figures::About;
use partial::Partial;
use plan::Plan;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Instant;
use trial::Outcome;

/// What to rehearse.
#[derive(Clone, Debug)]
pub struct RehearseOptions {
    /// Run folder of a finished training.
    pub run: PathBuf,
    /// Where the reference is now, if it has moved.
    pub reference: Option<PathBuf>,
    /// Where the query at hand is now, if it has moved.
    pub query: Option<PathBuf>,
    /// What plays the query; `None`: the query at hand if there is one, else the reference.
    pub on: Option<On>,
    /// Column of the reference's obs whose values play the query in turn, in place of the run's batches.
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
            query: None,
            on: None,
            by: None,
            types: Vec::new(),
            fpr: 0.05,
            repeats: 1,
            threads: 1,
        }
    }
}

/// In the run's folder.
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
    let opened = Opened::open(&options.run, device)?;
    let train = training(options, opened.folder.manifest(), observer)?;
    let inputs = Inputs::read(&train, observer)?;
    let reference = &inputs.reference;
    if let Some(odd) = options.types.iter().find(|t| !reference.classes.contains(t)) {
        let known = reference.classes.join(", ");
        return Err(Error::usage(format!("--type {odd}"), format!("the reference has {known}")));
    }
    let said = match &inputs.query {
        Some(query) => labels(&opened, query, &train, device, observer)?,
        None => Vec::new(),
    };
    let at_hand = inputs.query.is_some();
    let mut plans = match at_hand {
        true => Plan::at_hand(reference, &said, &options.types, options.repeats, train.seed),
        false => Plan::all(reference, &options.types, &inputs.settings, options.repeats, train.seed),
    };
    if at_hand && plans.trials.is_empty() && options.on.is_none() {
        observer.note("the query has too few cells of any type to be rehearsed on; the reference plays it");
        return rehearse(&RehearseOptions { on: Some(On::Reference), ..options.clone() }, device, observer);
    }
    let otherwise = match at_hand {
        true => otherwise(&opened, &inputs, &train),
        false => None,
    };
    if otherwise.is_some() {
        plans.otherwise();
    }
    let started = Instant::now();
    let key = json!({
        "model": opened.folder.model_checksum(),
        "on": if at_hand { On::Query } else { On::Reference },
        "by": options.by,
        "fpr": options.fpr,
        "seed": train.seed,
    });
    let mut folder = opened.folder;
    let partial = Partial::of(folder.path());
    let mut outcomes = partial.read(&key, &plans.trials);
    if outcomes.iter().any(Option::is_some) {
        let done = outcomes.iter().flatten().count();
        observer.note(&format!("{done} of {} trials were done before", outcomes.len()));
    }
    let stage = Stage { inputs: &inputs, said, otherwise, train: &train, fpr: options.fpr, device };
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
    let own = Preparation::of(&inputs.settings.features);
    let about = About {
        run: options.run.clone(),
        model: folder.manifest().model.clone(),
        on: if at_hand { On::Query } else { On::Reference },
        by: reference.batch.is_some().then(|| train.batch_key.clone()).flatten().filter(|_| plans.by_batch && !at_hand),
        preparation: own,
        fpr: options.fpr,
        own: train.model.score(),
        seconds: (started.elapsed().as_secs_f64() * 100.0).round() / 100.0,
    };
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for (plan, outcome) in plans.trials.iter().zip(outcomes.into_iter().flatten()) {
        if plan.otherwise { second.push(outcome) } else { first.push(outcome) }
    }
    let mut rehearsal = Rehearsal::new(about.clone(), plans.skipped.clone(), first.into_iter())?;
    if !second.is_empty() {
        let about = About { preparation: own.other(), ..about };
        // Where it is possible with no type there is nothing to compare with.
        rehearsal.other = Rehearsal::new(about, plans.skipped, second.into_iter()).ok().map(Box::new);
    }
    store(&rehearsal, &mut folder, |_| {})?;
    partial.remove();
    Ok(rehearsal)
}

/// Puts a rehearsal into a run's folder; its best score is the run's own from now on.
fn store(rehearsal: &Rehearsal, folder: &mut RunFolder, change: impl FnOnce(&mut Manifest)) -> Result<()> {
    let text = serde_json::to_string_pretty(rehearsal)
        .map_err(|e| Error::Argument { op: "rehearsal", what: e.to_string() })?;
    folder.attach(RESULT, format!("{text}\n").as_bytes(), |manifest| {
        manifest.configuration["score"] = json!(rehearsal.chosen);
        change(manifest);
    })
}

/// What the run says of the query's cells; nothing of those without counts.
fn labels(
    opened: &Opened,
    query: &Query,
    train: &TrainOptions,
    device: &Device,
    observer: &mut dyn Observer,
) -> Result<Vec<Option<u32>>> {
    let expression = &query.expression;
    let at_training = &opened.folder.manifest().preprocessing["query"]["checksum"];
    if *at_training != json!(expression.checksum()) {
        return Err(Error::data(
            &expression.place,
            "these are not the cells that were at hand in training",
            "name their file with --query, or rehearse with --on reference",
        ));
    }
    let Opened { state, features, trained, .. } = opened;
    let inputs = annotate::inputs(&expression.x, query, state, features, train.min_gene_overlap, observer)?;
    let said = trained.answers(&inputs.x, device)?.label;
    Ok(said.into_iter().zip(inputs.empty).map(|(label, empty)| (!empty).then_some(label)).collect())
}

/// The settings with features made in the way that is not the run's: for small references, whose features
/// were not chosen by a rehearsal before, and for models that do not see the same either way.
fn otherwise(opened: &Opened, inputs: &Inputs, train: &TrainOptions) -> Option<Settings> {
    let own = &inputs.settings.features;
    let other = Preparation::of(own).other().features(train.model);
    let features = FeatureConfig { feature_scale: own.feature_scale, ..other };
    let open = inputs.reference.y.len() * 8 / 10 < SMALL_REFERENCE
        && opened.folder.manifest().configuration["preparation"].is_null();
    (open && features != *own).then(|| Settings { features, ..inputs.settings.clone() })
}

/// The options that a run was trained with; with its query if that plays the query.
fn training(options: &RehearseOptions, manifest: &Manifest, observer: &mut dyn Observer) -> Result<TrainOptions> {
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
    let conditions = |value: &Value| -> Result<Vec<Condition>> {
        let texts: Vec<String> = serde_json::from_value(value.clone()).unwrap_or_default();
        texts.iter().map(|c| c.parse().map_err(|e: &str| unusable(e.into()))).collect()
    };
    train.filter = conditions(&of["where"])?;
    let of = &about["query"];
    let path = options.query.clone().or_else(|| text(&of["path"]).map(PathBuf::from));
    match (options.on, path) {
        (Some(On::Reference), _) if options.query.is_some() => {
            return Err(Error::usage("--query with --on reference", "leave one of them out"));
        }
        (Some(On::Reference), _) => {}
        (None, _) if options.by.is_some() => {}
        (Some(On::Query), _) if options.by.is_some() => {
            return Err(Error::usage("--by with --on query", "leave one of them out: a query plays itself as a whole"));
        }
        (_, Some(path)) if !of.is_null() && (options.on.is_some() || options.query.is_some() || path.exists()) => {
            train.query = Some(path);
            train.query_filter = conditions(&of["where"])?;
        }
        (on, _) if on.is_some() || options.query.is_some() => {
            return Err(Error::usage(
                "the run had no query at hand in training",
                "train with --query, or rehearse with --on reference",
            ));
        }
        (None, Some(path)) if !of.is_null() => observer.warn(&format!(
            "{} is not there any more, so the reference plays the query; name the file with --query",
            path.display()
        )),
        _ => {}
    }
    Ok(train)
}

/// What all trials share.
struct Stage<'a> {
    inputs: &'a Inputs,
    /// Of each cell of the query at hand, the class that the run gives it.
    said: Vec<Option<u32>>,
    /// Settings of the trials that go the other way.
    otherwise: Option<Settings>,
    train: &'a TrainOptions,
    fpr: f64,
    device: &'a Device,
}

impl Stage<'_> {
    fn settings(&self, plan: &Plan) -> &Settings {
        self.otherwise.as_ref().filter(|_| plan.otherwise).unwrap_or(&self.inputs.settings)
    }

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
            &|at, device| trial::play(&plans[at], self, device),
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
