//! What workflow managers collect: figures for MultiQC, versions of software.

use super::cells::Cells;
use crate::models::annotator::AnnotateSummary;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// What is said of a sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    cells: usize,
    labels: BTreeMap<String, usize>,
    unknown: usize,
    not_annotated: usize,
    mean_prob: f64,
    /// Share of the model's genes that the sample has, where that is known.
    genes: Option<f64>,
}

impl From<&AnnotateSummary> for Figures {
    fn from(summary: &AnnotateSummary) -> Figures {
        Figures {
            cells: summary.cells,
            labels: summary.labels.clone(),
            unknown: summary.unknown,
            not_annotated: summary.not_annotated,
            mean_prob: summary.mean_prob,
            genes: Some(summary.matched_genes as f64 / summary.model_genes.max(1) as f64),
        }
    }
}

impl From<&Cells> for Figures {
    fn from(cells: &Cells) -> Figures {
        let mut labels: BTreeMap<String, usize> = BTreeMap::new();
        cells.given.iter().flatten().for_each(|&g| *labels.entry(cells.labels[g].clone()).or_default() += 1);
        let given: usize = labels.values().sum();
        let unknown = cells.flagged.iter().zip(&cells.given).filter(|(f, g)| **f && g.is_some()).count();
        let prob: f64 = cells.prob.iter().filter(|p| p.is_finite()).sum();
        Figures {
            cells: cells.len(),
            labels,
            unknown,
            not_annotated: cells.len() - given,
            mean_prob: prob / given.max(1) as f64,
            genes: None,
        }
    }
}

/// Name of the sample of a file: its own without folder and ending.
pub fn sample(file: &Path) -> String {
    file.file_stem().map_or_else(|| "sample".into(), |stem| stem.to_string_lossy().into_owned())
}

/// Figures of an annotation as custom content of MultiQC; the file's name must end in `_mqc.json`.
/// Files of several samples become one table.
pub fn multiqc(sample: &str, figures: &Figures) -> Value {
    let column = |title: &str, description: &str, format: &str, colours: &str| json!({ "title": title, "description": description, "format": format, "scale": colours });
    let n = figures.cells.max(1) as f64;
    let mut data = json!({
        "cells": figures.cells,
        "labels": figures.labels.len(),
        "unknown": 100.0 * figures.unknown as f64 / n,
        "not_annotated": figures.not_annotated,
        "mean_prob": figures.mean_prob,
    });
    if let Some(genes) = figures.genes {
        data["genes"] = json!(100.0 * genes);
    }
    if let Some((label, count)) = figures.labels.iter().max_by(|a, b| a.1.cmp(b.1).then(b.0.cmp(a.0))) {
        data["largest"] = json!(format!("{label} ({:.0} %)", 100.0 * *count as f64 / n));
    }
    json!({
        "id": "cytograd",
        "section_name": "cytograd",
        "description": "Cell types, and cells unlike the reference that the model was trained on.",
        "plot_type": "table",
        "pconfig": { "id": "cytograd_table", "title": "cytograd: annotation" },
        "headers": {
            "cells": column("Cells", "Annotated cells", "{:,.0f}", "Greens"),
            "labels": column("Labels", "Different labels given", "{:,.0f}", "Blues"),
            "unknown": {
                "title": "Unknown",
                "description": "Cells unlike the reference",
                "format": "{:,.1f}", "suffix": " %", "min": 0, "max": 100, "scale": "OrRd"
            },
            "mean_prob": {
                "title": "Probability",
                "description": "Mean probability of the labels",
                "format": "{:,.3f}", "min": 0, "max": 1, "scale": "Blues"
            },
            "genes": {
                "title": "Genes",
                "description": "Genes of the model that the sample has",
                "format": "{:,.1f}", "suffix": " %", "min": 0, "max": 100, "scale": "Greens"
            },
            "not_annotated": column("Empty", "Cells without counts, which have no label", "{:,.0f}", "Greys"),
            "largest": { "title": "Largest type", "description": "The label of most cells" },
        },
        "data": { sample: data },
    })
}

/// Versions of software as YAML, in the form that workflow managers merge.
pub fn versions() -> String {
    let hdf5 = crate::data::hdf5_version();
    format!("\"cytograd\":\n    cytograd: \"{}\"\n    hdf5: \"{hdf5}\"\n", env!("CARGO_PKG_VERSION"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_yaml_that_merges() {
        let text = versions();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "\"cytograd\":");
        assert!(lines[1..].iter().all(|l| l.starts_with("    ") && l.ends_with('"')), "{text}");
        assert!(text.contains(&format!("cytograd: \"{}\"", env!("CARGO_PKG_VERSION"))));
    }

    #[test]
    fn a_sample_is_named_by_its_file() {
        assert_eq!(sample(Path::new("/data/s1.annotated.h5ad")), "s1.annotated");
        assert_eq!(sample(Path::new("/")), "sample");
    }
}
