//! Which columns of `obs` are likely labels, and which batches, by their names and levels.
//!
//! May use: [`Table`]. Guesses for a listing; nothing is chosen by them.
#![forbid(unsafe_code)]

use super::table::{Column, Table};
use serde::Serialize;
use std::collections::BTreeMap;

/// A column that may be what is looked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Candidate {
    /// Its name.
    pub column: String,
    /// How many different entries it has.
    pub n_levels: usize,
    /// Cells without an entry.
    pub missing: usize,
    /// Cells per level, the most frequent first.
    pub levels: Vec<(String, usize)>,
}

/// Parts of names that labels have, likeliest first.
const LABELS: [&str; 12] = [
    "cell_type",
    "celltype",
    "cell type",
    "cell_ontology_class",
    "annotation",
    "cell_label",
    "label",
    "cell_class",
    "cluster",
    "leiden",
    "louvain",
    "type",
];

/// The same for batches.
const BATCHES: [&str; 18] = [
    "batch",
    "sample",
    "donor",
    "patient",
    "subject",
    "individual",
    "library",
    "technology",
    "tech",
    "protocol",
    "chemistry",
    "assay",
    "dataset",
    "study",
    "orig.ident",
    "lane",
    "channel",
    "replicate",
];

/// A label has fewer levels than this.
const MOST_LABELS: usize = 500;

/// Columns that are likely labels of cells, likeliest first.
pub fn labels(obs: &Table) -> Vec<Candidate> {
    let mut found = find(obs, &LABELS, MOST_LABELS);
    // Numbers of clusters serve, but not scores such as `label_prob`.
    found.retain(|c| !c.column.to_lowercase().contains("batch"));
    found
}

/// Columns that are likely batches, likeliest first.
pub fn batches(obs: &Table) -> Vec<Candidate> {
    let mut found = find(obs, &BATCHES, obs.n_rows() / 2);
    found.retain(|c| c.n_levels > 1);
    found
}

fn find(obs: &Table, words: &[&str], most: usize) -> Vec<Candidate> {
    let mut found: Vec<(usize, Candidate)> = Vec::new();
    for (name, column) in &obs.columns {
        let lower = name.to_lowercase();
        let Some(rank) = words.iter().position(|word| lower.contains(word)) else { continue };
        let discrete = !matches!(column, Column::Float(_) | Column::Float32(_) | Column::Bool(_));
        if !discrete {
            continue;
        }
        let candidate = levels(name, column);
        let repeated = candidate.n_levels * 2 <= column.len().max(2);
        if candidate.n_levels >= 1 && candidate.n_levels <= most.max(2) && repeated {
            found.push((rank, candidate));
        }
    }
    found.sort_by_key(|(rank, _)| *rank);
    found.into_iter().map(|(_, candidate)| candidate).collect()
}

fn levels(name: &str, column: &Column) -> Candidate {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut missing = 0;
    for row in 0..column.len() {
        match column.text(row) {
            Some(text) => *counts.entry(text).or_default() += 1,
            None => missing += 1,
        }
    }
    let mut levels: Vec<(String, usize)> = counts.into_iter().collect();
    levels.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    Candidate { column: name.into(), n_levels: levels.len(), missing, levels }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Categorical;

    #[test]
    fn labels_and_batches_are_found_by_name_and_levels() {
        let n = 12;
        let mut obs = Table::new((0..n).map(|i| format!("c{i}")).collect());
        let pick = |k: usize| (0..n).map(|i| format!("v{}", i % k)).collect::<Vec<_>>();
        obs.set("leiden", Column::Categorical(Categorical::from_strings(&pick(4)))).unwrap();
        obs.set("Cell_Type", Column::Str(pick(3))).unwrap();
        obs.set("label_score", Column::Float(vec![0.5; n])).unwrap();
        obs.set("donor", Column::Int((0..n as i64).map(|i| i % 2).collect())).unwrap();
        obs.set("sample_barcode", Column::Str(pick(n))).unwrap();
        let names = |list: Vec<Candidate>| list.into_iter().map(|c| c.column).collect::<Vec<_>>();
        assert_eq!(names(labels(&obs)), ["Cell_Type", "leiden"]);
        let found = batches(&obs);
        assert_eq!(found[0].levels, [("0".to_owned(), 6), ("1".to_owned(), 6)]);
        assert_eq!(names(found), ["donor"]);
    }
}
