//! `cytograd preprocess`: counts to normalised values, variable genes and principal components.

use super::progress::duration;
use super::{Session, output};
use crate::analysis::pca::{DenseRows, Pca};
use crate::data::check::{self, Names};
use crate::data::preprocess::{
    Flavor, HvgParams, ScaleParams, Scaling, Select, Target, filter_cells, filter_genes, highly_variable_genes, log1p,
    normalize_total,
};
use crate::data::{Column, Csr, Dataset, Dense, Entry, Matrix, Value, Which, h5ad, results, source};
use crate::error::{Error, Result};
use crate::models::run::{Observer, interrupt};
use clap::ValueEnum;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Filter, normalise, log1p, choose variable genes, scale, PCA
///
/// Writes log-normalised values as X and keeps the counts as layer "counts"; marks variable genes in
/// var; puts principal components of the variable genes into obsm X_pca. The numbers are scanpy's.
#[derive(clap::Args)]
pub struct Args {
    /// A file with raw counts: h5ad, 10x HDF5 or MatrixMarket folder, loom, CSV or TSV
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// The file to write
    #[arg(short, long, value_name = "OUT")]
    output: PathBuf,
    /// Layer with the counts [default: X]
    #[arg(long, value_name = "NAME")]
    layer: Option<String>,
    /// Drop cells with fewer genes than this
    #[arg(long, value_name = "N", default_value_t = 1)]
    min_genes: usize,
    /// Drop genes seen in fewer cells than this
    #[arg(long, value_name = "N", default_value_t = 1)]
    min_cells: usize,
    /// Total of every cell after normalisation [default: the median of the totals]
    #[arg(long, value_name = "SUM", value_parser = positive)]
    target_sum: Option<f64>,
    /// How variable genes are chosen
    #[arg(long, value_name = "FLAVOR", default_value = "seurat")]
    hvg: Hvg,
    /// How many variable genes
    #[arg(long, value_name = "N", default_value_t = 2000)]
    n_top: usize,
    /// Choose variable genes within each level of this obs column, and merge
    #[arg(long, value_name = "COL")]
    batch_key: Option<String>,
    /// Keep only the variable genes
    #[arg(long)]
    subset: bool,
    /// Scale variable genes to mean 0 and variance 1, clipped at 10, before PCA
    #[arg(long)]
    scale: bool,
    /// Number of principal components; 0 for none
    #[arg(long, value_name = "N", default_value_t = 50)]
    n_pcs: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Hvg {
    Seurat,
    #[value(name = "cell_ranger")]
    CellRanger,
    #[value(name = "seurat_v3")]
    SeuratV3,
    None,
}

fn positive(text: &str) -> std::result::Result<f64, &'static str> {
    text.parse().ok().filter(|&v: &f64| v > 0.0 && v.is_finite()).ok_or("give a number above 0")
}

pub fn run(args: &Args, session: &mut Session) -> Result<()> {
    let started = Instant::now();
    let progress = &mut session.progress;
    progress.begin(6, "preprocessing");
    progress.step(0, format_args!("reading"));
    let mut notes = Vec::new();
    let dataset = read(&args.input, args.layer.as_deref(), &mut notes)?;
    notes.iter().for_each(|note| progress.note(note));
    let mut stage = |n: u64, what: &str| {
        progress.step(n, format_args!("{what}"));
        interrupt::check("no output was written")
    };
    let counts = counts(&dataset, args.layer.as_deref())?;
    let (cells_before, genes_before) = (dataset.n_obs(), dataset.n_vars());

    stage(1, "filtering")?;
    let cells = filter_cells(&counts, args.min_genes);
    let counts = counts.select_rows(&cells);
    let genes = filter_genes(&counts, args.min_cells);
    if cells.is_empty() || genes.is_empty() {
        let what = format!("no cell has {} genes, or no gene is in {} cells", args.min_genes, args.min_cells);
        return Err(Error::data(&dataset.source, what, "lower --min-genes and --min-cells"));
    }
    let mut counts = counts.select_cols(&genes);
    let mut dataset = dataset.select_obs(&cells).select_vars(&genes);

    stage(2, "normalising")?;
    let target = args.target_sum.map_or(Target::Median, Target::Sum);
    let (mut x, target) = normalize_total(&counts, target)?;
    log1p(&mut x);

    stage(3, "choosing variable genes")?;
    let variable = variable_genes(args, &mut dataset, &counts, &x)?;
    if args.subset {
        x = x.select_cols(&variable);
        counts = counts.select_cols(&variable);
        dataset = dataset.select_vars(&variable);
    }
    let columns: Vec<usize> = if args.subset { (0..x.n_cols()).collect() } else { variable.clone() };

    stage(4, "principal components")?;
    let n_pcs = args.n_pcs.min(dataset.n_obs().saturating_sub(1)).min(columns.len());
    if n_pcs > 0 {
        components(&mut dataset, &x, &columns, n_pcs, args.scale, session.common.seed)?;
    }
    dataset.layers.retain(|(name, _)| name != "counts");
    dataset.layers.push(("counts".into(), Matrix::Csr(counts)));
    dataset.x = Matrix::Csr(x);
    let log = Value::dict().with("layer", "X").with("target_sum", target).with("transform", "log1p");
    set(&mut dataset.uns, "cytograd_preprocess", log);

    stage(5, "writing")?;
    h5ad::write(&args.output, &dataset)?;
    session.progress.close();

    let dropped = (cells_before - dataset.n_obs(), genes_before - genes.len());
    if session.common.json {
        return output::print_json(&json!({
            "output": args.output.display().to_string(),
            "cells": dataset.n_obs(),
            "genes": dataset.n_vars(),
            "cells_dropped": dropped.0,
            "genes_dropped": dropped.1,
            "variable_genes": variable.len(),
            "target_sum": target,
            "components": n_pcs,
            "seconds": started.elapsed().as_secs_f64(),
        }));
    }
    session.progress.note(&format!(
        "{}: {} cells ({} dropped) x {} genes ({} dropped), {} of them variable, {n_pcs} components, in {}",
        args.output.display(),
        dataset.n_obs(),
        dropped.0,
        dataset.n_vars(),
        dropped.1,
        variable.len(),
        duration(started.elapsed())
    ));
    Ok(())
}

/// All of the file; of one that is no h5ad file with unique names, as the output needs them. With
/// `--layer raw` the genes are those of `raw`.
fn read(path: &Path, layer: Option<&str>, notes: &mut Vec<String>) -> Result<Dataset> {
    let opened = source::open(path)?;
    notes.extend(opened.notes().iter().map(|note| format!("{}: {note}", opened.name())));
    if source::choose(opened.as_ref(), layer)? == Which::Raw {
        return raw(opened.dataset()?);
    }
    let mut dataset = opened.dataset()?;
    if opened.format() != "h5ad" {
        notes.extend(results::make_unique(&mut dataset));
    }
    if !dataset.skipped.is_empty() {
        notes.push(format!("{}: not taken over: {}", opened.name(), dataset.skipped.join(", ")));
    }
    Ok(dataset)
}

/// The genes and values of `raw` in the place of the main ones, which were chosen out of them.
fn raw(dataset: Dataset) -> Result<Dataset> {
    let Some(raw) = dataset.raw else { return Ok(dataset) };
    let mut whole = Dataset::new(raw.x.clone(), dataset.obs, raw.var)?;
    whole.layers = vec![("raw".into(), raw.x)];
    (whole.obsm, whole.obsp, whole.uns) = (dataset.obsm, dataset.obsp, dataset.uns);
    (whole.varm, whole.skipped, whole.source) = (raw.varm, dataset.skipped, dataset.source);
    Ok(whole)
}

/// Marks the variable genes in `var` and returns their columns (all without a choice).
fn variable_genes(args: &Args, dataset: &mut Dataset, counts: &Csr, x: &Csr) -> Result<Vec<usize>> {
    let (flavor, input) = match args.hvg {
        Hvg::None => return Ok((0..x.n_cols()).collect()),
        Hvg::Seurat => (Flavor::Seurat, x),
        Hvg::CellRanger => (Flavor::CellRanger, x),
        Hvg::SeuratV3 => (Flavor::SeuratV3, counts),
    };
    let batch = match &args.batch_key {
        Some(key) => Some(levels(dataset, key)?),
        None => None,
    };
    let params = HvgParams { flavor, select: Select::Top(args.n_top), ..HvgParams::default() };
    let found = highly_variable_genes(input, batch.as_deref(), &params)?;
    let var = &mut dataset.var;
    var.set("highly_variable", Column::Bool(found.selected.clone()))?;
    var.set("means", Column::Float(found.means.clone()))?;
    let (spread, norm) = match args.hvg {
        Hvg::SeuratV3 => ("variances", "variances_norm"),
        _ => ("dispersions", "dispersions_norm"),
    };
    var.set(spread, Column::Float(found.dispersions.clone()))?;
    var.set(norm, Column::Float(found.dispersions_norm.clone()))?;
    if batch.is_some() {
        let n = found.n_batches.iter().map(|&n| n as i64).collect();
        var.set("highly_variable_nbatches", Column::Int(n))?;
    }
    Ok(found.genes())
}

/// The level of every cell in a column of `obs`, as a number.
fn levels(dataset: &Dataset, key: &str) -> Result<Vec<u32>> {
    let place = format!("{}: obs", dataset.source);
    let column = dataset.obs.column(&place, key)?;
    let texts: Vec<String> = (0..column.len()).map(|row| column.text(row).unwrap_or_default()).collect();
    let mut names = texts.clone();
    names.sort_unstable();
    names.dedup();
    Ok(texts.iter().map(|t| names.binary_search(t).map_or(0, |i| i as u32)).collect())
}

/// `obsm X_pca`, `varm PCs`, `uns pca`, as scanpy writes them.
fn components(dataset: &mut Dataset, x: &Csr, columns: &[usize], n: usize, scale: bool, seed: u64) -> Result<()> {
    let chosen = x.select_cols(columns);
    let pca = if scale {
        let scaled = Scaling::fit(&chosen).apply(&chosen, ScaleParams::default())?;
        Pca::fit(&DenseRows { values: scaled.values(), n_cols: scaled.n_cols() }, n, seed)?
    } else {
        Pca::fit(&chosen, n, seed)?
    };
    let k = pca.n_comps;
    let floats = |values: &[f64]| values.iter().map(|&v| v as f32).collect::<Vec<f32>>();
    let scores = Dense::new(dataset.n_obs(), k, floats(&pca.scores))?;
    // Genes that were not used have loading 0.
    let mut loadings = vec![0f32; dataset.n_vars() * k];
    for (i, &gene) in columns.iter().enumerate() {
        for c in 0..k {
            loadings[gene * k + c] = pca.components[c * columns.len() + i] as f32;
        }
    }
    let loadings = Dense::new(dataset.n_vars(), k, loadings)?;
    set(&mut dataset.obsm, "X_pca", Entry::Matrix(Matrix::Dense(scores)));
    set(&mut dataset.varm, "PCs", Entry::Matrix(Matrix::Dense(loadings)));
    let info = Value::dict().with("variance", pca.variance.clone()).with("variance_ratio", pca.variance_ratio.clone());
    set(&mut dataset.uns, "pca", info);
    Ok(())
}

fn set<T>(list: &mut Vec<(String, T)>, name: &str, value: T) {
    match list.iter_mut().find(|(n, _)| n == name) {
        Some((_, old)) => *old = value,
        None => list.push((name.into(), value)),
    }
}

/// The counts to work on.
///
/// # Errors
/// `Error::NotCounts` for a value that is none.
fn counts(dataset: &Dataset, layer: Option<&str>) -> Result<Csr> {
    let matrix = dataset.matrix(layer)?;
    let place = format!("{}: {}", dataset.source, layer.map_or("X".into(), |name| format!("layer \"{name}\"")));
    let names = Names { place: &place, cells: &dataset.obs.index, genes: &dataset.var.index };
    let seen = check::describe(matrix);
    let layers: Vec<String> = dataset.layers.iter().map(|(name, _)| name.clone()).collect();
    check::require_filled(&seen, names)?;
    check::require_counts(&seen, names, &layers)?;
    matrix.to_csr()
}
