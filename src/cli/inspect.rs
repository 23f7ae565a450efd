//! `cytograd inspect`: what is in a file.

use super::{Session, output};
use crate::data::check::{self, Content, Names};
use crate::data::{Column, Dataset, Entry, Matrix, Table, h5ad};
use crate::error::Result;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Show what is in a file: matrices, counts or not, columns, problems
#[derive(clap::Args)]
pub struct Args {
    /// An h5ad file
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

pub fn run(args: &Args, session: &mut Session) -> Result<()> {
    let dataset = h5ad::read(&args.file)?;
    let report = report(&dataset);
    if session.common.json { output::print_json(&report) } else { output::print(&text(&report)) }
}

/// How many levels of a column are shown by name.
const LEVELS: usize = 12;

fn report(dataset: &Dataset) -> Value {
    let mut parts: Vec<(String, &Matrix)> = vec![("X".into(), &dataset.x)];
    parts.extend(dataset.layers.iter().map(|(name, m)| (format!("layer {name}"), m)));
    parts.extend(dataset.raw.iter().map(|raw| ("raw".into(), &raw.x)));
    let (mut matrices, mut problems) = (Vec::new(), Vec::new());
    for (name, m) in parts {
        let (json, found) = matrix(dataset, &name, m);
        matrices.push(json);
        problems.extend(found);
    }
    for (kind, names) in [("cell", &dataset.obs.index), ("gene", &dataset.var.index)] {
        problems.extend(check::require_unique(names, kind, kind).err().map(|e| e.to_string()));
    }
    let entries = |list: &[(String, Entry)]| -> Vec<Value> {
        let shape = |entry: &Entry| match entry {
            Entry::Matrix(m) => json!([m.n_rows(), m.n_cols()]),
            Entry::Table(t) => json!([t.n_rows(), t.columns.len()]),
        };
        list.iter().map(|(name, entry)| json!({ "name": name, "shape": shape(entry) })).collect()
    };
    json!({
        "file": dataset.source,
        "cells": dataset.n_obs(),
        "genes": dataset.n_vars(),
        "matrices": matrices,
        "obs": columns(&dataset.obs),
        "var": columns(&dataset.var),
        "obsm": entries(&dataset.obsm),
        "varm": entries(&dataset.varm),
        "obsp": dataset.obsp.iter().map(|(name, _)| name).collect::<Vec<_>>(),
        "uns": dataset.uns.iter().map(|(name, _)| name).collect::<Vec<_>>(),
        "skipped": dataset.skipped,
        "problems": problems,
    })
}

fn matrix(dataset: &Dataset, name: &str, m: &Matrix) -> (Value, Vec<String>) {
    let seen = check::describe(m);
    let entries = m.n_rows() as f64 * m.n_cols() as f64;
    let json = json!({
        "name": name,
        "storage": if matches!(m, Matrix::Csr(_)) { "sparse" } else { "dense" },
        "shape": [m.n_rows(), m.n_cols()],
        "nonzero": seen.nonzero,
        "density": if entries > 0.0 { seen.nonzero as f64 / entries } else { 0.0 },
        "min": seen.range.0,
        "max": seen.range.1,
        "content": seen.content.name(),
        "evidence": seen.evidence,
        "counts": seen.content == Content::Counts,
        "empty_cells": seen.empty_cells.len(),
    });
    // The genes of `raw` have names of their own.
    let genes = dataset.raw.as_ref().filter(|_| name == "raw").map_or(&dataset.var, |raw| &raw.var);
    let names = Names { place: name, cells: &dataset.obs.index, genes: &genes.index };
    let judged = [
        check::require_filled(&seen, names),
        check::require_finite(&seen, names),
        check::require_no_empty_cells(&seen, names),
    ];
    // An empty matrix needs no list of its empty cells.
    let problems = judged.into_iter().filter_map(Result::err).map(|e| e.to_string());
    (json, if seen.content == Content::Empty { problems.take(1).collect() } else { problems.collect() })
}

fn columns(table: &Table) -> Vec<Value> {
    table.columns.iter().map(|(name, column)| describe(name, column)).collect()
}

fn describe(name: &str, column: &Column) -> Value {
    let mut value = json!({ "name": name, "kind": column.kind() });
    let missing = (0..column.len()).filter(|&row| column.text(row).is_none()).count();
    value["missing"] = json!(missing);
    let texts: Vec<String> = (0..column.len()).filter_map(|row| column.text(row)).collect();
    let mut levels: BTreeMap<&str, usize> = BTreeMap::new();
    texts.iter().for_each(|text| *levels.entry(text).or_default() += 1);
    let whole = matches!(column, Column::Int(_) | Column::NullableInt { .. });
    match column.numbers() {
        Some(numbers) if !whole || levels.len() > LEVELS => {
            let finite = || numbers.iter().copied().filter(|v| v.is_finite());
            value["min"] = json!(finite().fold(f64::INFINITY, f64::min));
            value["max"] = json!(finite().fold(f64::NEG_INFINITY, f64::max));
        }
        _ => {
            value["n_levels"] = json!(levels.len());
            let mut ranked: Vec<(&str, usize)> = levels.into_iter().collect();
            ranked.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
            // Names of cells and the like say nothing.
            if ranked.first().is_some_and(|(_, n)| *n > 1) {
                let shown = ranked.into_iter().take(LEVELS).map(|(text, n)| (text.to_owned(), json!(n))).collect();
                value["levels"] = Value::Object(shown);
            }
        }
    }
    value
}

fn text(report: &Value) -> String {
    let strings = |v: &Value| -> Vec<String> {
        v.as_array().map_or(vec![], |list| list.iter().map(|s| s.as_str().unwrap_or_default().to_owned()).collect())
    };
    let list = |v: &Value| v.as_array().cloned().unwrap_or_default();
    let mut out = format!(
        "{}: {} cells x {} genes\n",
        report["file"].as_str().unwrap_or_default(),
        report["cells"],
        report["genes"]
    );
    for m in list(&report["matrices"]) {
        let density = 100.0 * m["density"].as_f64().unwrap_or(0.0);
        out += &format!(
            "{:<14}{}, {density:.1} % non-zero, {}, values {} to {}\n",
            m["name"].as_str().unwrap_or_default(),
            m["storage"].as_str().unwrap_or_default(),
            m["content"].as_str().unwrap_or_default(),
            number(&m["min"]),
            number(&m["max"])
        );
    }
    for part in ["obs", "var"] {
        let columns = list(&report[part]);
        if !columns.is_empty() {
            out += &format!("{part}\n");
        }
        for column in columns {
            out += &format!("  {}\n", column_text(&column));
        }
    }
    for part in ["obsm", "varm"] {
        let entries: Vec<String> = list(&report[part])
            .iter()
            .map(|e| format!("{} ({} columns)", e["name"].as_str().unwrap_or_default(), e["shape"][1]))
            .collect();
        if !entries.is_empty() {
            out += &format!("{part:<14}{}\n", entries.join(", "));
        }
    }
    for problem in strings(&report["problems"]) {
        out += &format!("problem       {problem}\n");
    }
    for part in ["obsp", "uns", "skipped"] {
        let names = strings(&report[part]);
        if !names.is_empty() {
            out += &format!("{part:<14}{}\n", names.join(", "));
        }
    }
    out
}

/// As few digits as say it.
fn number(value: &Value) -> String {
    match value.as_f64() {
        Some(v) if v.fract() == 0.0 && v.abs() < 1e15 => format!("{v:.0}"),
        Some(v) => format!("{v:.4}"),
        None => "none".into(),
    }
}

fn column_text(column: &Value) -> String {
    let mut line =
        format!("{}: {}", column["name"].as_str().unwrap_or_default(), column["kind"].as_str().unwrap_or_default());
    if let Some(n) = column["n_levels"].as_u64() {
        line += &format!(", {n} levels");
    }
    if !column["min"].is_null() {
        line +=
            &format!(", {:.4} to {:.4}", column["min"].as_f64().unwrap_or(0.0), column["max"].as_f64().unwrap_or(0.0));
    }
    if column["missing"].as_u64().is_some_and(|n| n > 0) {
        line += &format!(", {} missing", column["missing"]);
    }
    if let Some(levels) = column["levels"].as_object() {
        let shown: Vec<String> = levels.iter().map(|(text, n)| format!("{text} {n}")).collect();
        line += &format!(": {}", shown.join(", "));
        if column["n_levels"].as_u64().is_some_and(|n| n > levels.len() as u64) {
            line += ", ...";
        }
    }
    line
}
