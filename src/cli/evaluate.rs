//! `cytograd evaluate`: annotations against the truth.

use super::{Session, output};
use crate::analysis::evaluation::{Annotations, Evaluation};
use crate::data::label_map::LabelMap;
use crate::data::select::{self, Condition};
use crate::data::table::list_names;
use crate::data::{Column, Table, Value, h5ad};
use crate::error::{Error, Result};
use crate::models::run::Observer;
use std::path::{Path, PathBuf};

/// Compare the annotations in a file with true labels
///
/// Accuracy and calibration over the cells of types that the model knows, separation of known from
/// unknown types by log p(x), by max p(y|x) and by every score that `annotate --scores` wrote, and the
/// confusion table.
#[derive(clap::Args)]
pub struct Args {
    /// File that `cytograd annotate` wrote
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Column of obs with the true labels
    #[arg(long, value_name = "COL")]
    truth: String,
    /// CSV with new names for the true labels, from,to per line
    #[arg(long, value_name = "FILE")]
    label_map: Option<PathBuf>,
    /// Only cells with this value in this column; repeat for more
    #[arg(long = "where", value_name = "COL=VALUE")]
    conditions: Vec<Condition>,
}

pub fn run(args: &Args, session: &mut Session) -> Result<()> {
    let evaluation = evaluate(&args.file, &args.truth, args.label_map.as_deref(), &args.conditions)?;
    if let Some(text) = nothing_known(&evaluation, args) {
        session.progress.warn(&text);
        session.progress.close();
    }
    if session.common.json {
        return output::print_json(&output::to_json(&evaluation)?);
    }
    output::print(&evaluation.to_string())
}

/// What to say where no true label is one of the model's: a wrong column, or another vocabulary.
fn nothing_known(evaluation: &Evaluation, args: &Args) -> Option<String> {
    if evaluation.cells == 0 || evaluation.known_cells > 0 {
        return None;
    }
    let few = |names: &[String]| {
        let more = if names.len() > 3 { ", ..." } else { "" };
        format!("{}{more}", list_names(&names[..names.len().min(3)]))
    };
    Some(format!(
        "{}: no label in \"{}\" ({}) is one of the model's ({}), so there is no accuracy; map them with --label-map, \
         or give another column as --truth",
        args.file.display(),
        args.truth,
        few(&evaluation.confusion.types),
        few(&evaluation.confusion.labels)
    ))
}

/// Judges the annotations of the cells that fulfil the conditions.
pub fn evaluate(file: &Path, truth: &str, map: Option<&Path>, conditions: &[Condition]) -> Result<Evaluation> {
    let mut notes = h5ad::read_notes(file)?;
    let place = format!("{}: obs", notes.source);
    if let Some(map) = map {
        LabelMap::read(map)?.apply(&mut notes.obs, truth, &place)?;
    }
    let rows = select::rows(&notes.obs, conditions, &place)?;
    let obs = notes.obs.select_rows(&rows);
    let known = known_types(&notes.uns, &notes.source)?;
    let texts = |name: &str| -> Result<Vec<Option<String>>> {
        let column = obs.column(&place, name)?;
        Ok((0..column.len()).map(|row| column.text(row)).collect())
    };
    let truth = texts(truth)?;
    let predicted = texts("cytograd_label")?;
    let probability = numbers(&obs, &place, "cytograd_prob")?;
    let log_density = match obs.get("cytograd_logpx") {
        Some(_) => Some(numbers(&obs, &place, "cytograd_logpx")?),
        None => None,
    };
    let mut scores = Vec::new();
    for (column, _) in &obs.columns {
        // The two that every file has anyway are judged under their own columns.
        let name = column.strip_prefix("cytograd_score_").filter(|name| !["logpx", "maxp"].contains(name));
        if let Some(name) = name {
            scores.push((name.to_owned(), numbers(&obs, &place, column)?));
        }
    }
    let flagged = obs.get("cytograd_ood").map(flags);
    Evaluation::new(Annotations {
        truth: &truth,
        predicted: &predicted,
        probability: &probability,
        log_density: log_density.as_deref(),
        scores: &scores,
        flagged: flagged.as_deref(),
        known: &known,
    })
}

/// `uns["cytograd"]["labels"]`.
fn known_types(uns: &[(String, Value)], source: &str) -> Result<Vec<String>> {
    let ours = uns.iter().find(|(name, _)| name == "cytograd").and_then(|(_, value)| value.get("labels"));
    match ours {
        Some(Value::Strs { data, .. }) => Ok(data.clone()),
        _ => Err(Error::data(
            format!("{source}: uns"),
            "holds no cytograd annotation",
            "annotate the file with `cytograd annotate` and evaluate what it writes",
        )),
    }
}

fn numbers(obs: &Table, place: &str, name: &str) -> Result<Vec<f64>> {
    obs.column(place, name)?
        .numbers()
        .ok_or_else(|| Error::data(format!("{place} column \"{name}\""), "holds no numbers", "annotate the file again"))
}

/// A cell is flagged if its entry says so in any of the ways that a flag is written.
fn flags(column: &Column) -> Vec<bool> {
    (0..column.len())
        .map(|row| matches!(column.text(row).as_deref(), Some("True" | "true" | "ood" | "unknown")))
        .collect()
}
