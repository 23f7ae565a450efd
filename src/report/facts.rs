//! What made a run, as lines of names and values.

use super::cells::Cells;
use crate::models::run::RunFolder;
use crate::plots::Table;
use serde_json::Value;

/// The run's own facts.
pub fn of_run(run: &RunFolder) -> Table {
    let m = run.manifest();
    let mut table = Table::new(&["", ""]);
    let mut add = |name: &str, value: String| {
        if !value.is_empty() {
            table.push(vec![name.into(), value]);
        }
    };
    let (data, metrics) = (&m.preprocessing, &m.metrics);
    let (reference, query) = (&data["reference"], &data["query"]);
    add("run", run.path().display().to_string());
    add("model", m.model.clone());
    add("model file, SHA-256", run.model_checksum().unwrap_or_default().into());
    add("trained by", m.program.clone());
    add("started", m.created.clone());
    add("seed", m.seed.to_string());
    add("device", format!("{}, math {}", m.device, m.math));
    add("profile", plain(&m.configuration["profile"]));
    add("genes weigh by", plain(&m.configuration["settings"]["features"]["gene_scale"]));
    add("labels", format!("{}: {}", m.labels.len(), m.labels.join(", ")));
    add("genes", m.genes.len().to_string());
    add("reference", plain(&reference["file"]));
    add("reference cells chosen", list(&reference["where"]));
    add("labels left out", list(&reference["hold_out"]));
    let split = &reference["split"];
    let parts = ["train", "valid", "test"].map(|part| format!("{} {part}", plain(&split[part])));
    let cells = plain(&reference["cells"]);
    add("reference cells", if split.is_null() { cells } else { format!("{cells}: {}", parts.join(", ")) });
    add("reference, SHA-256", plain(&reference["checksum"]));
    add("column of labels", plain(&reference["label_key"]));
    add("column of batches", plain(&data["batch_key"]));
    add("query", plain(&query["file"]));
    add("query cells chosen", list(&query["where"]));
    add("query cells", plain(&query["cells"]));
    add("query, SHA-256", plain(&query["checksum"]));
    add("iterations", plain(&metrics["iterations"]));
    add("training time", metrics["seconds"].as_f64().map_or(String::new(), |s| format!("{s} s")));
    for part in ["valid", "test"] {
        if let Some(accuracy) = metrics[part]["accuracy"].as_f64() {
            let ece = metrics[part]["ece"].as_f64().map_or(String::new(), |e| format!(", ECE {:.1} %", 100.0 * e));
            add(&format!("reference accuracy ({part})"), format!("{:.1} %{ece}", 100.0 * accuracy));
        }
    }
    if metrics["diverged"] == Value::Bool(true) {
        let divergence = &metrics["divergence"];
        add("diverged", format!("at iteration {} ({})", plain(&divergence["at"]), plain(&divergence["values"])));
    }
    table
}

/// How the annotated file was made.
pub fn of_annotation(cells: &Cells) -> Table {
    let mut table = Table::new(&["", ""]);
    table.push(vec!["file".into(), cells.source.clone()]);
    cells.provenance.iter().for_each(|(name, value)| table.push(vec![name.clone(), value.clone()]));
    table
}

/// A JSON value without quotes; nothing for null.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn list(value: &Value) -> String {
    value.as_array().map_or(String::new(), |v| v.iter().map(plain).collect::<Vec<_>>().join(", "))
}
