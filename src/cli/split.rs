//! `cytograd split`: folds of the cells, as a column of obs that `--where` understands.

use super::{Session, output};
use crate::data::h5ad::Additions;
use crate::data::label_map::LabelMap;
use crate::data::labels::Labels;
use crate::data::select::{self, Condition};
use crate::data::splits::{fold_of_each, scarce};
use crate::data::table::list_names;
use crate::data::{Column, results, source};
use crate::error::Result;
use crate::models::run::Observer;
use serde_json::json;
use std::path::PathBuf;

/// Divide cells into folds with the same share of every type
///
/// Writes a copy of the file with obs "fold", a number from 0. Train with `--where fold!=0`, annotate
/// with `--where fold=0`, and so on; with `--hold-out TYPE` in training, fold 0 has an unknown type.
#[derive(clap::Args)]
pub struct Args {
    /// A file with labelled cells
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// The file to write
    #[arg(short, long, value_name = "OUT")]
    output: PathBuf,
    /// Column of obs with the types
    #[arg(long, value_name = "COL")]
    label_key: String,
    /// Number of folds
    #[arg(short = 'k', long, value_name = "K", default_value_t = 5)]
    folds: usize,
    /// CSV with new names for the types, from,to per line; the file keeps the old ones
    #[arg(long, value_name = "FILE")]
    label_map: Option<PathBuf>,
    /// Only cells with this value in this column; repeat for more
    #[arg(long = "where", value_name = "COL=VALUE")]
    conditions: Vec<Condition>,
}

pub fn run(args: &Args, session: &mut Session) -> Result<()> {
    results::check_target(&args.input, &args.output, !args.conditions.is_empty())?;
    let opened = source::open(&args.input)?;
    let place = format!("{}: obs", opened.name());
    let mut obs = opened.obs().clone();
    drop(opened);
    if let Some(map) = &args.label_map {
        LabelMap::read(map)?.apply(&mut obs, &args.label_key, &place)?;
    }
    let rows = select::rows(&obs, &args.conditions, &place)?;
    let replaced = obs.get("fold").is_some();
    let labels = Labels::read(&obs.select_rows(&rows), &args.label_key, &place)?;
    let fold_of = fold_of_each(&labels, args.folds, session.common.seed)?;

    let column = Column::Int(fold_of.iter().map(|&fold| i64::from(fold)).collect());
    let additions = Additions { obs: vec![("fold".into(), column)], ..Additions::default() };
    let some = (!args.conditions.is_empty()).then_some(&rows[..]);
    let notes = results::write(&args.input, &args.output, &additions, some)?;

    let progress = &mut session.progress;
    notes.iter().for_each(|note| progress.note(note));
    if replaced {
        progress.note(&format!("{place} column \"fold\" was there and is replaced"));
    }
    let scarce: Vec<&str> = scarce(&labels, args.folds).into_iter().map(|c| labels.classes[c].as_str()).collect();
    if !scarce.is_empty() {
        let few = list_names(&scarce);
        progress.note(&format!("fewer than {} cells, so not in every fold: {few}", args.folds));
    }
    progress.close();
    let mut counts = vec![vec![0usize; args.folds]; labels.classes.len()];
    labels.codes.iter().zip(&fold_of).for_each(|(&class, &fold)| counts[class as usize][fold as usize] += 1);
    if session.common.json {
        let types: serde_json::Map<String, serde_json::Value> =
            labels.classes.iter().zip(&counts).map(|(name, n)| (name.clone(), json!(n))).collect();
        return output::print_json(&json!({
            "output": args.output.display().to_string(),
            "column": "fold",
            "cells": rows.len(),
            "cells_of_types_in_folds": types,
            "not_in_every_fold": scarce,
        }));
    }
    let header: Vec<String> = (0..args.folds).map(|fold| format!("fold {fold}")).collect();
    let header: Vec<&str> = std::iter::once("").chain(header.iter().map(String::as_str)).collect();
    let lines: Vec<Vec<String>> = (labels.classes.iter().zip(&counts))
        .map(|(name, n)| std::iter::once(name.clone()).chain(n.iter().map(usize::to_string)).collect())
        .collect();
    output::print(&output::table(&header, &lines))
}
