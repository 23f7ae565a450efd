//! A file of counts to a file of normalised values, variable genes and principal components.
//!
//! May use: `data`, `pca`, `error`. The matrix is read in blocks of rows, as often as a step needs it,
//! and written in blocks too, so neither is ever in memory as a whole. Sums run over cells in order,
//! so no number depends on the blocks. What each step computes is scanpy's (see
//! [`crate::data::preprocess`]).
#![forbid(unsafe_code)]

use super::pca::{Pca, ScaledRows};
use crate::data::blocks::{Blocks, Chosen, Derived, RowBlocks};
use crate::data::check::{self, Names};
use crate::data::h5ad::Stepwise;
use crate::data::preprocess::{
    Flavor, HvgParams, ScaleParams, Scaling, Select, log1p, median_total, moments_of_blocks, scale_rows,
    variable_genes_of_blocks,
};
use crate::data::source::{self, Source, Which};
use crate::data::{Column, Csr, Dataset, Dense, Entry, Matrix, Memory, RowStore, Value, results};
use crate::error::{Error, Result};
use crate::paths;
use std::path::{Path, PathBuf};

mod quality;

use quality::Quality;

/// What to make of what.
#[derive(Clone, Debug)]
pub struct Options {
    /// A file with raw counts, of any format.
    pub input: PathBuf,
    /// The h5ad file to write.
    pub output: PathBuf,
    /// Layer with the counts, `None`: `X`.
    pub layer: Option<String>,
    /// Cells with fewer genes are dropped.
    pub min_genes: usize,
    /// Genes in fewer cells are dropped.
    pub min_cells: usize,
    /// Total of every cell after normalisation, `None`: the median.
    pub target_sum: Option<f64>,
    /// How variable genes are chosen; `None`: all are used.
    pub flavor: Option<Flavor>,
    /// How many.
    pub n_top: usize,
    /// Column of obs within whose levels they are chosen.
    pub batch_key: Option<String>,
    /// Keep the variable genes only.
    pub subset: bool,
    /// Scale genes before PCA.
    pub scale: bool,
    /// Principal components, 0 for none.
    pub n_pcs: usize,
    /// Seed of PCA's iteration.
    pub seed: u64,
    /// How much may be in memory.
    pub memory: Memory,
}

/// What was made.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// Cells and genes of the output.
    pub cells: usize,
    /// Genes of the output.
    pub genes: usize,
    /// Cells that were dropped.
    pub cells_dropped: usize,
    /// Genes that the filter dropped.
    pub genes_dropped: usize,
    /// Genes that PCA used.
    pub variable_genes: usize,
    /// What cells sum to.
    pub target_sum: f64,
    /// Number of principal components.
    pub components: usize,
    /// What the reader decided and what was changed, each in a line.
    pub notes: Vec<String>,
}

/// Steps that `stage` is told of: its number from 0, and its name.
pub const STAGES: u64 = 6;

/// Does all of it; `stage` may stop it with an error before each step.
///
/// # Errors
/// As [`source::open`] and [`Blocks::new`]; `Error::NotCounts` for values that are none; `Error::Data`
/// if no cell or gene is left; `Error::Io` if the output cannot be written. On any error what stood
/// at the output is untouched.
pub fn preprocess(options: &Options, stage: &mut dyn FnMut(u64, &str) -> Result<()>) -> Result<Summary> {
    results::check_target(&options.input, &options.output, false)?;
    stage(0, "reading")?;
    let opened = source::open_within(&options.input, options.memory)?;
    let source = opened.as_ref();
    let mut notes: Vec<String> = source.notes().iter().map(|note| format!("{}: {note}", source.name())).collect();
    let which = source::choose(source, options.layer.as_deref())?;
    let mut frame = frame(source, &which, &mut notes)?;
    let (cells_before, genes_before) = (frame.n_obs(), frame.n_vars());
    let whole = Blocks::new(source, &which, options.memory)?;

    stage(1, "filtering")?;
    let quality = read_counts(source, &whole, &which, &frame, options)?;
    let (cells, genes) = (quality.cells.clone(), quality.genes(options.min_cells));
    let genes_dropped = genes_before - genes.len();
    if cells.is_empty() || genes.is_empty() {
        let what = format!("no cell has {} genes, or no gene is in {} cells", options.min_genes, options.min_cells);
        return Err(Error::data(&frame.source, what, "lower --min-genes and --min-cells"));
    }
    let all = cells.len() == cells_before && genes_dropped == 0 && !options.subset;
    if !all && paths::same(&options.input, &options.output) {
        let lost = if options.subset { "genes that vary little" } else { "cells and genes that the filters drop" };
        let what = format!("{} is both input and output, and the {lost} would be lost", options.output.display());
        return Err(Error::usage(what, "give -o another path"));
    }
    quality.describe(&mut frame)?;
    frame = frame.select_obs(&cells).select_vars(&genes);
    let chosen = Chosen::new(&whole, &cells);
    let target = columns(genes_before, &genes);
    let counts = Derived::new(&chosen, genes.len(), |_, block| Ok(block.map_cols(&target, genes.len())));

    stage(2, "normalising")?;
    let totals = totals(&quality, &counts, options.min_cells)?;
    let target_sum = match options.target_sum {
        Some(sum) if sum > 0.0 && sum.is_finite() => sum,
        Some(sum) => return Err(Error::usage(format!("target sum {sum}"), "give a positive number")),
        None => median_total(&totals)?,
    };
    let normalise = |first: usize, block: &Csr| {
        let mut x = block.clone();
        scale_rows(&mut x, &totals[first..first + block.n_rows()], target_sum);
        log1p(&mut x);
        x
    };

    stage(3, "choosing variable genes")?;
    let x = Derived::new(&counts, genes.len(), |first, block| Ok(normalise(first, block)));
    let variable = variable_genes(options, &mut frame, &counts, &x)?;
    let final_genes: Vec<usize> = if options.subset { variable.clone() } else { (0..genes.len()).collect() };
    if options.subset {
        frame = frame.select_vars(&variable);
    }

    stage(4, "principal components")?;
    let place = format!("{}: {which}", source.name());
    let n_pcs = options.n_pcs.min(cells.len().saturating_sub(1)).min(variable.len());
    if n_pcs < options.n_pcs {
        let (asked, cells, genes) = (options.n_pcs, cells.len(), variable.len());
        notes.push(format!(
            "{place}: {n_pcs} principal components, not {asked}: {cells} cells and {genes} variable genes have no more"
        ));
    }
    if n_pcs > 0 {
        let to = columns(genes.len(), &variable);
        let x = Derived::new(&x, variable.len(), |_, block| Ok(block.map_cols(&to, variable.len())));
        let used: Vec<usize> = if options.subset { (0..variable.len()).collect() } else { variable.clone() };
        components(&mut frame, &x, &used, n_pcs, options, &place)?;
    }
    let log = Value::dict().with("layer", "X").with("target_sum", target_sum).with("transform", "log1p");
    set(&mut frame.uns, "cytograd_preprocess", log);

    stage(5, "writing")?;
    let mut file = Stepwise::new(&options.output)?;
    let to = columns(genes.len(), &final_genes);
    let mut of_x = file.matrix(&Which::X, final_genes.len())?;
    let mut of_counts = file.matrix(&Which::Layer("counts".into()), final_genes.len())?;
    counts.pass(&mut |first, block| {
        let x = normalise(first, block);
        if options.subset {
            of_x.push(&x.map_cols(&to, final_genes.len()))?;
            return of_counts.push(&block.map_cols(&to, final_genes.len()));
        }
        of_x.push(&x)?;
        of_counts.push(block)
    })?;
    of_x.finish()?;
    of_counts.finish()?;
    let genes: Vec<usize> = final_genes.iter().map(|&g| genes[g]).collect();
    other_matrices(source, &which, &mut file, &cells, &genes, options.memory)?;
    file.finish(&frame)?;
    Ok(Summary {
        cells: frame.n_obs(),
        genes: frame.n_vars(),
        cells_dropped: cells_before - frame.n_obs(),
        genes_dropped,
        variable_genes: variable.len(),
        target_sum,
        components: n_pcs,
        notes,
    })
}

/// All of the file but its matrices; of one that is no h5ad file with unique names, as the output
/// needs them. With `raw` the genes are those of `raw`.
fn frame(source: &dyn Source, which: &Which, notes: &mut Vec<String>) -> Result<Dataset> {
    let mut frame = source.frame()?;
    let raw = frame.raw.take();
    match (which, raw) {
        (Which::Raw, Some(raw)) => {
            // Its genes in the place of the main ones, which were chosen out of them.
            let mut whole = Dataset::new(raw.x, frame.obs, raw.var)?;
            (whole.obsm, whole.obsp, whole.uns) = (frame.obsm, frame.obsp, frame.uns);
            (whole.varm, whole.skipped, whole.source) = (raw.varm, frame.skipped, frame.source);
            frame = whole;
        }
        (_, raw) => frame.raw = raw,
    }
    if source.format() != "h5ad" {
        notes.extend(results::make_unique(&mut frame));
    }
    if !frame.skipped.is_empty() {
        notes.push(format!("{}: not taken over: {}", source.name(), frame.skipped.join(", ")));
    }
    Ok(frame)
}

/// The place of each of `n` columns among the chosen ones.
fn columns(n: usize, chosen: &[usize]) -> Vec<u32> {
    let mut target = vec![u32::MAX; n];
    chosen.iter().enumerate().for_each(|(new, &old)| target[old] = new as u32);
    target
}

/// One pass over all counts: that they are counts, and what is in cells and genes.
fn read_counts(
    source: &dyn Source,
    whole: &Blocks,
    which: &Which,
    frame: &Dataset,
    options: &Options,
) -> Result<Quality> {
    let mut quality = Quality::new(&frame.var, options.min_genes);
    let seen = check::describe_beside(whole, &mut |first, block| quality.add(first, block))?;
    let matrix = match which {
        Which::X => "X".to_owned(),
        Which::Layer(name) => format!("layer \"{name}\""),
        Which::Raw => "layer \"raw\"".to_owned(),
    };
    let place = format!("{}: {matrix}", frame.source);
    let names = Names { place: &place, cells: &frame.obs.index, genes: &frame.var.index };
    let layers: Vec<String> = source::layer_names(source).into_iter().filter(|name| name != "raw").collect();
    check::require_filled(&seen, names)?;
    check::require_counts(&seen, names, &layers)?;
    Ok(quality)
}

/// Totals of the kept cells over the kept genes.
fn totals(quality: &Quality, counts: &dyn RowBlocks, min_cells: usize) -> Result<Vec<f64>> {
    if min_cells <= 1 {
        return Ok(quality.totals.clone()); // genes that are dropped have no counts
    }
    let mut totals = Vec::with_capacity(counts.n_rows());
    counts.pass(&mut |_, block| {
        totals.extend(block.row_sums());
        Ok(())
    })?;
    Ok(totals)
}

/// Marks the variable genes in `var` and returns their columns (all without a choice).
fn variable_genes(
    options: &Options,
    frame: &mut Dataset,
    counts: &dyn RowBlocks,
    x: &dyn RowBlocks,
) -> Result<Vec<usize>> {
    let Some(flavor) = options.flavor else { return Ok((0..x.n_cols()).collect()) };
    let v3 = flavor == Flavor::SeuratV3;
    let batch = match &options.batch_key {
        Some(key) => Some(levels(frame, key)?),
        None => None,
    };
    let params = HvgParams { flavor, select: Select::Top(options.n_top), ..HvgParams::default() };
    let found = variable_genes_of_blocks(if v3 { counts } else { x }, batch.as_deref(), &params)?;
    let genes = found.genes();
    let var = &mut frame.var;
    var.set("highly_variable", Column::Bool(found.selected))?;
    var.set("means", Column::Float(found.means))?;
    let (spread, norm) = if v3 { ("variances", "variances_norm") } else { ("dispersions", "dispersions_norm") };
    var.set(spread, Column::Float(found.dispersions))?;
    var.set(norm, Column::Float(found.dispersions_norm))?;
    if batch.is_some() {
        let n = found.n_batches.iter().map(|&n| n as i64).collect();
        var.set("highly_variable_nbatches", Column::Int(n))?;
    }
    Ok(genes)
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

/// `obsm X_pca`, `varm PCs`, `uns pca`, as scanpy writes them. `x` has the genes `used` of the output.
fn components(
    frame: &mut Dataset,
    x: &dyn RowBlocks,
    used: &[usize],
    n: usize,
    options: &Options,
    place: &str,
) -> Result<()> {
    let side = used.len().min(x.n_rows()).min(4096) as u64;
    let bytes = 8 * side * side + 16 * (x.n_rows() as u64) * n as u64;
    let what = format!("computing {n} principal components of {} cells x {} genes", x.n_rows(), used.len());
    options.memory.require(bytes, place, &what, "fewer variable genes with --n-top, or none with --n-pcs 0")?;
    // Read many times: the chosen genes of all cells, unpacked.
    let folder = options.output.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut store = RowStore::new(used.len(), options.memory.share(), folder);
    x.pass(&mut |_, block| store.push(block))?;
    store.finish()?;
    let pca = if options.scale {
        let scaling = Scaling::of(moments_of_blocks(&store)?);
        let rows = ScaledRows { rows: &store, scaling: &scaling, params: ScaleParams::default() };
        Pca::fit(&rows, n, options.seed)
    } else {
        Pca::fit(&store, n, options.seed)
    };
    store.check()?;
    let pca = pca?;
    let k = pca.n_comps;
    let floats = |values: &[f64]| values.iter().map(|&v| v as f32).collect::<Vec<f32>>();
    let scores = Dense::new(frame.n_obs(), k, floats(&pca.scores))?;
    // Genes that were not used have loading 0.
    let mut loadings = vec![0f32; frame.n_vars() * k];
    for (i, &gene) in used.iter().enumerate() {
        for c in 0..k {
            loadings[gene * k + c] = pca.components[c * used.len() + i] as f32;
        }
    }
    let loadings = Dense::new(frame.n_vars(), k, loadings)?;
    set(&mut frame.obsm, "X_pca", Entry::Matrix(Matrix::Dense(scores)));
    set(&mut frame.varm, "PCs", Entry::Matrix(Matrix::Dense(loadings)));
    let info = Value::dict().with("variance", pca.variance.clone()).with("variance_ratio", pca.variance_ratio.clone());
    set(&mut frame.uns, "pca", info);
    Ok(())
}

fn set<T>(list: &mut Vec<(String, T)>, name: &str, value: T) {
    match list.iter_mut().find(|(n, _)| n == name) {
        Some((_, old)) => *old = value,
        None => list.push((name.into(), value)),
    }
}

/// Takes over the layers and `raw`, reduced to the given cells, layers to the given genes too.
fn other_matrices(
    source: &dyn Source,
    counts: &Which,
    file: &mut Stepwise,
    cells: &[usize],
    genes: &[usize],
    memory: Memory,
) -> Result<()> {
    for stored in source.matrices() {
        let raw = stored.which == Which::Raw;
        let target = match (&stored.which, counts) {
            // What was counted is a layer beside the result; nothing else has the genes of `raw`.
            (Which::Raw, Which::Raw) => Which::Layer("raw".into()),
            (_, Which::Raw) | (Which::X, _) => continue,
            (Which::Layer(name), _) if name == "counts" => continue,
            (which, _) => which.clone(),
        };
        let blocks = Blocks::new(source, &stored.which, memory)?;
        let chosen = Chosen::new(&blocks, cells);
        if raw && target == Which::Raw {
            let mut matrix = file.matrix(&target, stored.n_cols)?;
            chosen.pass(&mut |_, block| matrix.push(block))?;
            matrix.finish()?;
            continue;
        }
        let to = columns(stored.n_cols, genes);
        let chosen = Derived::new(&chosen, genes.len(), |_, block| Ok(block.map_cols(&to, genes.len())));
        if stored.storage == "dense" && source.format() == "h5ad" {
            let mut matrix = file.dense(&target, genes.len())?;
            chosen.pass(&mut |_, block| matrix.push(block))?;
        } else {
            let mut matrix = file.matrix(&target, genes.len())?;
            chosen.pass(&mut |_, block| matrix.push(block))?;
            matrix.finish()?;
        }
    }
    Ok(())
}
