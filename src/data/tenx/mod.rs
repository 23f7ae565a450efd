//! What Cell Ranger writes: HDF5 files ([`hdf5`]) and MatrixMarket folders ([`matrix_market`]).
//!
//! May use: `error`, `hdf`, the data types. Both hold features x barcodes; features other than
//! genes (antibodies, guides, peaks) are no columns of `X` but a matrix in `obsm`, with their names
//! in `uns`, so that no model takes a protein for a gene.

pub mod hdf5;
pub mod matrix_market;

use super::annotated::{Dataset, Entry, Value};
use super::csr::Csr;
use super::matrix::Matrix;
use super::table::{Categorical, Column, Table};
use crate::error::Result;
use std::collections::BTreeMap;

/// The type of features that are genes.
const GENES: &str = "Gene Expression";

/// Rows of a 10x matrix.
#[derive(Clone, Debug, Default)]
struct Features {
    ids: Vec<String>,
    names: Vec<String>,
    /// `Gene Expression`, `Antibody Capture`, ...; empty if the file does not say.
    types: Vec<String>,
    /// Further columns, in order.
    more: Vec<(String, Vec<String>)>,
}

impl Features {
    fn len(&self) -> usize {
        self.ids.len()
    }

    /// As a table of the given features, named by `names`.
    fn table(&self, rows: &[usize]) -> Result<Table> {
        let pick = |list: &[String]| rows.iter().map(|&r| list[r].clone()).collect::<Vec<_>>();
        let mut table = Table::new(pick(&self.names));
        table.set("gene_ids", Column::Str(pick(&self.ids)))?;
        if !self.types.is_empty() {
            table.set("feature_types", Column::Categorical(Categorical::from_strings(&pick(&self.types))))?;
        }
        for (name, values) in &self.more {
            table.set(name, Column::Str(pick(values)))?;
        }
        Ok(table)
    }
}

/// Which features are `X`, and which are set apart, by type.
#[derive(Clone, Debug, Default)]
struct Parts {
    genes: Vec<usize>,
    others: Vec<(String, Vec<usize>)>,
    /// What to say about it.
    notes: Vec<String>,
}

impl Parts {
    fn new(features: &Features) -> Parts {
        let mut by_type: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (row, kind) in features.types.iter().enumerate() {
            by_type.entry(kind).or_default().push(row);
        }
        if by_type.len() < 2 {
            return Parts { genes: (0..features.len()).collect(), ..Parts::default() };
        }
        // Without genes the largest part is what the file is about.
        let main = if by_type.contains_key(GENES) {
            GENES
        } else {
            by_type.iter().max_by_key(|(_, rows)| rows.len()).map_or("", |(kind, _)| kind)
        };
        let mut parts = Parts { genes: by_type.get(main).cloned().unwrap_or_default(), ..Parts::default() };
        for (kind, rows) in &by_type {
            if *kind == main {
                continue;
            }
            parts.notes.push(format!(
                "{} features of type \"{kind}\" set apart: obsm \"{key}\", names in uns \"{key}\"",
                rows.len(),
                key = key(kind)
            ));
            parts.others.push((key(kind), rows.clone()));
        }
        parts
    }

    /// Puts what is no gene into `obsm` and `uns`. `whole` is cells x features.
    fn set_apart(&self, dataset: &mut Dataset, whole: &Csr, features: &Features) {
        for (key, rows) in &self.others {
            let pick = |list: &[String]| rows.iter().map(|&r| list[r].clone()).collect::<Vec<String>>();
            let names = Value::dict().with("names", pick(&features.names)).with("ids", pick(&features.ids));
            dataset.obsm.push((key.clone(), Entry::Matrix(Matrix::Csr(whole.select_cols(rows)))));
            dataset.uns.push((key.clone(), names));
        }
    }

    fn is_all(&self, features: &Features) -> bool {
        self.genes.len() == features.len()
    }
}

/// `Antibody Capture` as a key: `antibody_capture`.
fn key(kind: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    let key: String = kind.chars().map(plain).collect();
    if key.is_empty() { "other_features".into() } else { key }
}

/// A note if the genes are of several genomes.
fn genomes_note(genomes: &[String]) -> Option<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    genomes.iter().filter(|g| !g.is_empty()).for_each(|g| *counts.entry(g).or_default() += 1);
    (counts.len() > 1).then(|| {
        let shown: Vec<String> = counts.iter().map(|(genome, n)| format!("{genome} ({n} genes)")).collect();
        format!("several genomes: {}; var \"genome\" tells them apart", shown.join(", "))
    })
}
