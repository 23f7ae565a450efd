//! `cytograd preprocess`: counts to normalised values, variable genes and principal components.

use super::integrate::count;
use super::progress::duration;
use super::{Session, output};
use crate::analysis::preprocess::{self, Options};
use crate::data::preprocess::Flavor;
use crate::error::Result;
use crate::models::run::{Observer, interrupt};
use crate::paths;
use clap::ValueEnum;
use serde_json::json;
use std::path::PathBuf;
use std::time::Instant;

/// Filter, normalise, log1p, choose variable genes, scale, PCA
///
/// Writes log-normalised values as X and keeps the counts as layer "counts"; puts totals, numbers of
/// genes and mitochondrial shares into obs; marks variable genes in var; puts principal components of
/// the variable genes into obsm X_pca. The numbers are scanpy's. Files may be larger than memory.
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
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = count)]
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

impl Hvg {
    fn flavor(self) -> Option<Flavor> {
        match self {
            Hvg::Seurat => Some(Flavor::Seurat),
            Hvg::CellRanger => Some(Flavor::CellRanger),
            Hvg::SeuratV3 => Some(Flavor::SeuratV3),
            Hvg::None => None,
        }
    }
}

pub fn run(args: &Args, session: &mut Session) -> Result<()> {
    let started = Instant::now();
    paths::check_outputs(&[("-o", &args.output)], &[], None)?;
    let options = Options {
        input: args.input.clone(),
        output: args.output.clone(),
        layer: args.layer.clone(),
        min_genes: args.min_genes,
        min_cells: args.min_cells,
        target_sum: args.target_sum,
        flavor: args.hvg.flavor(),
        n_top: args.n_top,
        batch_key: args.batch_key.clone(),
        subset: args.subset,
        scale: args.scale,
        n_pcs: args.n_pcs,
        seed: session.common.seed,
        memory: session.common.memory(),
    };
    let progress = &mut session.progress;
    progress.begin(preprocess::STAGES, "preprocessing");
    let made = preprocess::preprocess(&options, &mut |n, what| {
        progress.step(n, format_args!("{what}"));
        interrupt::check("no output was written")
    })?;
    session.progress.close();
    made.notes.iter().for_each(|note| session.progress.note(note));
    if session.common.json {
        return output::print_json(&json!({
            "output": args.output.display().to_string(),
            "cells": made.cells,
            "genes": made.genes,
            "cells_dropped": made.cells_dropped,
            "genes_dropped": made.genes_dropped,
            "variable_genes": made.variable_genes,
            "target_sum": made.target_sum,
            "components": made.components,
            "seconds": started.elapsed().as_secs_f64(),
        }));
    }
    session.progress.note(&format!(
        "{}: {} cells ({} dropped) x {} genes ({} dropped), {} of them variable, {} components, in {}",
        args.output.display(),
        made.cells,
        made.cells_dropped,
        made.genes,
        made.genes_dropped,
        made.variable_genes,
        made.components,
        duration(started.elapsed())
    ));
    Ok(())
}
