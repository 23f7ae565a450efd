//! Annotation of a query by several models over seeds (CLAMS specification, section 8, T2).

use super::Protocol;
use super::ledger::{Ledger, Outcome};
use super::table::{Cell, Column, Table};
use super::variants::Variant;
use crate::error::{Error, Result};
use crate::models::annotator::study::{Figures, Study, View};
use crate::models::annotator::{Change, FeatureConfig, Method};
use crate::models::run::Observer;
use serde_json::json;

/// Reads the data, makes the runs that are not done yet, and writes the table.
///
/// # Errors
/// `Error::Usage` without a query and for a folder that holds something else; those of reading and
/// training; `Error::Interrupted`, then the runs that are done are kept.
pub fn run(protocol: &Protocol, variants: &[Variant], observer: &mut dyn Observer) -> Result<Table> {
    if protocol.data.query.is_none() {
        return Err(Error::usage(
            "no query to annotate",
            "give its file with --query, or its cells with --query-where",
        ));
    }
    let study = Study::read(&protocol.data, &protocol.changes, observer)?;
    let settings = json!({ "experiment": "annotation", "data": data(protocol, &study) });
    // A setting that cannot be is found before anything is written.
    variants.iter().try_for_each(|variant| study.settings(variant.method).map(drop))?;
    let mut ledger = Ledger::open(protocol, &settings)?;
    let views = Views::of(&study, variants, |config| config, observer)?;
    let runs: Vec<(&Variant, u64)> = variants
        .iter()
        .flat_map(|variant| (0..variant.repeats(protocol.seeds)).map(move |i| (variant, protocol.data.seed + i)))
        .collect();
    let names: Vec<String> = runs.iter().map(|(variant, seed)| format!("{}, seed {seed}", variant.name)).collect();
    observer.begin(runs.len() as u64, "annotation");
    let outcomes = ledger.run(&names, runs.len(), protocol, observer, &|at, device| {
        let (variant, seed) = runs[at];
        let learning = variant.learning(&study, seed)?;
        study.annotate(views.get(&learning.settings.features)?, &learning, device)
    });
    observer.end();
    let outcomes = outcomes?;
    let of = |variant: &Variant| -> Vec<&Outcome<Figures>> {
        runs.iter().zip(&outcomes).filter(|((v, _), _)| v.name == variant.name).map(|(_, outcome)| outcome).collect()
    };
    let mut rows: Vec<_> = variants.iter().map(|variant| (variant.name.clone(), row(&of(variant)))).collect();
    let mut notes = notes(&names, &outcomes);
    if Method::all().all(|method| variants.iter().any(|variant| variant.method == method)) {
        rows.push(("scanvi".into(), row(&[])));
        notes.push("scanvi: not in this version.".into());
    }
    let columns = [("runs", 0), ("div %", 0), ("acc %", 2), ("ECE %", 2), ("p(x)", 3), ("max p", 3), ("own score", 3)];
    let table = Table {
        title: format!(
            "Annotation: {} types, {} seeds; AUROC of known against unknown cells by p(x), max p(y|x) and the method's \
             own score.",
            study.classes().len(),
            protocol.seeds
        ),
        head: "method",
        columns: columns.map(|(name, digits)| Column { name, digits }).to_vec(),
        rows,
        notes,
    };
    table.write(&protocol.out)?;
    Ok(table)
}

/// What tells an experiment's data and settings apart from others'.
pub(super) fn data(protocol: &Protocol, study: &Study) -> serde_json::Value {
    let data = &protocol.data;
    let device = protocol.device.name();
    let mut all = json!({
        "cells": study.checksum(),
        "types": study.classes(),
        "batch_key": data.batch_key,
        "profile": data.profile.name(),
        "epochs": data.epochs,
        "device": if data.math == "strict" { device.to_owned() } else { format!("{device}, {}", data.math) },
        "version": env!("CARGO_PKG_VERSION"),
    });
    if let Some(preparation) = data.preparation {
        all["preparation"] = json!(preparation);
    }
    if !protocol.changes.is_empty() {
        all["changes"] = json!(protocol.changes.iter().map(Change::to_string).collect::<Vec<_>>());
    }
    all
}

/// The cells in all features that some variants need, each made once.
pub(super) struct Views(Vec<(FeatureConfig, View)>);

impl Views {
    pub fn of(
        study: &Study,
        variants: &[Variant],
        change: impl Fn(FeatureConfig) -> FeatureConfig,
        observer: &mut dyn Observer,
    ) -> Result<Views> {
        let mut views: Vec<(FeatureConfig, View)> = Vec::new();
        observer.begin(variants.len() as u64, "preparing features");
        for (i, variant) in variants.iter().enumerate() {
            let asked = study.settings(variant.method)?.features;
            if views.iter().all(|(config, _)| *config != asked) {
                views.push((asked.clone(), study.view(&change(asked))?));
            }
            observer.step(i as u64 + 1, format_args!("{}", variant.name));
        }
        observer.end();
        Ok(Views(views))
    }

    /// Those of the features that were asked for.
    pub fn get(&self, asked: &FeatureConfig) -> Result<&View> {
        let missing = || Error::Argument { op: "experiment", what: "features of another kind".into() };
        self.0.iter().find(|(config, _)| config == asked).map(|(_, view)| view).ok_or_else(missing)
    }
}

fn row(outcomes: &[&Outcome<Figures>]) -> Vec<Option<Cell>> {
    let all: Vec<&Figures> = outcomes.iter().filter_map(|o| o.figures()).collect();
    let over = |of: &dyn Fn(&Figures) -> Option<f64>| Cell::over(all.iter().filter_map(|f| of(f)));
    vec![
        single(all.len() as f64).filter(|cell| cell.mean > 0.0),
        diverged(all.iter().map(|f| f.diverged.is_some())),
        over(&|f| Some(100.0 * f.accuracy?)),
        over(&|f| Some(100.0 * f.ece?)),
        over(&|f| f.log_px),
        over(&|f| f.max_p),
        over(&|f| f.own),
    ]
}

/// A number that is no mean.
pub(super) fn single(value: f64) -> Option<Cell> {
    Some(Cell { mean: value, sd: None, n: 1 })
}

/// The share of runs that diverged, in percent.
pub(super) fn diverged(runs: impl Iterator<Item = bool>) -> Option<Cell> {
    Cell::over(runs.map(|diverged| 100.0 * f64::from(u8::from(diverged)))).map(|cell| Cell { sd: None, ..cell })
}

/// Runs that gave nothing, and why.
pub(super) fn notes<T>(names: &[String], outcomes: &[Outcome<T>]) -> Vec<String> {
    let failed = names.iter().zip(outcomes).filter_map(|(name, outcome)| match outcome {
        Outcome::Impossible(why) => Some(format!("{name}: {why}")),
        Outcome::Done(_) => None,
    });
    failed.collect()
}
