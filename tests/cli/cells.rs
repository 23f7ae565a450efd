//! Small data sets: counts of cell types that differ in a few genes, in two batches.

use crate::place::files;
use cytograd::data::{Categorical, Column, Csr, Dataset, Matrix, Table, h5ad};
use cytograd::rng::{Rng, Stream};
use std::path::Path;

pub const TYPES: [&str; 4] = ["B", "NK", "T", "mono"];
pub const GENES: usize = 120;

/// `per_type` cells of each type, in turn; raw counts in `X`; obs `cell_type` and `batch`.
pub fn cells(types: &[&str], per_type: usize, seed: u64) -> Dataset {
    let mut rng = Rng::new(Stream::new(seed, 77));
    let n = types.len() * per_type;
    let mut counts = Vec::with_capacity(n * GENES);
    for cell in 0..n {
        let kind = TYPES.iter().position(|t| *t == types[cell % types.len()]).unwrap_or(0);
        let depth = 0.5 + rng.uniform53();
        for gene in 0..GENES {
            let marker = if gene % 8 == kind { 12.0 } else { 1.0 };
            let shift = if cell % 2 == 1 && gene % 5 == 0 { 1.5 } else { 1.0 };
            counts.push(poisson(depth * marker * shift * (0.2 + (gene % 3) as f64 * 0.4), &mut rng));
        }
    }
    let x = Matrix::Csr(Csr::from_dense(n, GENES, &counts).expect("sizes fit"));
    let mut obs = Table::new((0..n).map(|i| format!("cell{i}")).collect());
    let labels: Vec<&str> = (0..n).map(|i| types[i % types.len()]).collect();
    let batches: Vec<&str> = (0..n).map(|i| ["one", "two"][i % 2]).collect();
    obs.set("cell_type", Column::Categorical(Categorical::from_strings(&labels))).expect("sizes fit");
    obs.set("batch", Column::Categorical(Categorical::from_strings(&batches))).expect("sizes fit");
    Dataset::new(x, obs, Table::new((0..GENES).map(|g| format!("GENE{g}")).collect())).expect("sizes fit")
}

/// [`cells`] with `change` applied, as a file.
pub fn write(path: &Path, per_type: usize, seed: u64, change: impl FnOnce(&mut Dataset)) {
    let mut dataset = cells(&TYPES, per_type, seed);
    change(&mut dataset);
    let _guard = files();
    h5ad::write(path, &dataset).expect("written");
}

/// Replaces `X` value by value: `f(cell, gene, value)`.
pub fn map_x(dataset: &mut Dataset, f: impl Fn(usize, usize, f32) -> f32) {
    let (n, g) = (dataset.n_obs(), dataset.n_vars());
    let values: Vec<f32> = dataset.x.to_dense().iter().enumerate().map(|(i, &v)| f(i / g, i % g, v)).collect();
    dataset.x = Matrix::Csr(Csr::from_dense(n, g, &values).expect("sizes fit"));
}

/// Replaces the labels: `f(cell, label)`; an empty text is a missing label.
pub fn map_labels(dataset: &mut Dataset, f: impl Fn(usize, &str) -> String) {
    let column = dataset.obs.get("cell_type").expect("labels").clone();
    let labels: Vec<String> = (0..column.len()).map(|i| f(i, &column.text(i).unwrap_or_default())).collect();
    let present: Vec<&String> = labels.iter().filter(|l| !l.is_empty()).collect();
    let categories = Categorical::from_strings(&present).categories;
    let column = Column::Categorical(Categorical::with_categories(&labels, categories));
    dataset.obs.set("cell_type", column).expect("sizes fit");
}

/// Knuth's product of uniforms; the means here are small.
fn poisson(mean: f64, rng: &mut Rng) -> f32 {
    let limit = (-mean).exp();
    let (mut k, mut p) = (0u32, rng.uniform53());
    while p > limit && k < 1000 {
        k += 1;
        p *= rng.uniform53();
    }
    k as f32
}
