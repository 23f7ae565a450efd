//! `cytograd embed`: cells on a plane to look at.

use super::progress::duration;
use super::{Session, output};
use crate::analysis::embed::{EmbedOptions, embed};
use crate::analysis::tsne::TsneConfig;
use crate::error::Result;
use crate::models::run::{Observer, interrupt};
use crate::paths;
use clap::ValueEnum;
use serde_json::json;
use std::path::PathBuf;
use std::time::Instant;

/// Put cells on a plane
///
/// Writes a copy of the file with obsm X_tsne. t-SNE keeps near neighbours near; distances between
/// groups, and their sizes, mean little. The same seed gives the same plane on any number of threads.
#[derive(clap::Args)]
pub struct Args {
    /// An h5ad file with an embedding, as `cytograd annotate` and `cytograd preprocess` write it
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// h5ad file to write; may be IN itself
    #[arg(short, long, value_name = "OUT.h5ad")]
    output: PathBuf,
    /// How
    #[arg(long, value_name = "NAME", default_value = "tsne")]
    method: Method,
    /// Entry of obsm to lay out [default: X_cytograd, else X_pca_harmony, else X_pca]
    #[arg(long, value_name = "NAME")]
    basis: Option<String>,
    /// Effective number of neighbours of a cell (t-SNE)
    #[arg(long, value_name = "N", default_value_t = 30.0, value_parser = at_least_one)]
    perplexity: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Method {
    Tsne,
}

fn at_least_one(text: &str) -> std::result::Result<f64, &'static str> {
    text.parse().ok().filter(|&v: &f64| v >= 1.0 && v.is_finite()).ok_or("give a number from 1, as in 30")
}

pub fn run(args: &Args, session: &mut Session) -> Result<()> {
    let started = Instant::now();
    paths::check_outputs(&[("-o", &args.output)], &[], None)?;
    let Method::Tsne = args.method;
    let tsne = TsneConfig { perplexity: args.perplexity, seed: session.common.seed, ..TsneConfig::default() };
    let options =
        EmbedOptions { input: args.input.clone(), output: args.output.clone(), basis: args.basis.clone(), tsne };
    let progress = &mut session.progress;
    progress.begin(tsne.iterations as u64, "t-SNE");
    let made = embed(&options, &mut |t| {
        progress.step(t as u64, format_args!("perplexity {}", tsne.perplexity));
        interrupt::check("no output was written")
    })?;
    session.progress.close();
    made.notes.iter().for_each(|note| session.progress.note(note));
    if session.common.json {
        return output::print_json(&json!({
            "output": args.output.display().to_string(),
            "basis": made.basis,
            "width": made.width,
            "obsm": made.name,
            "cells": made.cells,
            "left_out": made.left_out,
            "kl": made.kl,
            "trustworthiness": made.faithfulness.map(|f| f.trustworthiness),
            "neighbours_kept": made.faithfulness.map(|f| f.kept),
            "seconds": started.elapsed().as_secs_f64(),
        }));
    }
    if made.left_out > 0 {
        session
            .progress
            .warn(&format!("{} cells have values that are not finite; their places are NaN", made.left_out));
    }
    let judged = made.faithfulness.map_or(String::new(), |f| format!(", trustworthiness {:.3}", f.trustworthiness));
    session.progress.note(&format!(
        "{}: {} cells of {} ({} wide) as {}{judged}, in {}",
        args.output.display(),
        made.cells,
        made.basis,
        made.width,
        made.name,
        duration(started.elapsed())
    ));
    Ok(())
}
