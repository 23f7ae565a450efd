//! `cytograd integrate`: batch effects taken off.

use super::{Session, output};
use crate::analysis::harmony::HarmonyConfig;
use crate::error::Result;
use crate::models::integration::{IntegrateOptions, IntegrateSummary, Method, integrate};
use crate::models::run::Observer;
use crate::paths;
use clap::ValueEnum;
use std::path::PathBuf;

/// Take batch effects off the principal components of a file's cells
///
/// Writes a copy of the file with obsm X_cytograd_pca, the components as they are, and
/// X_cytograd_harmony or X_cytograd_ebm, corrected; the energy-based model also leaves what it had
/// after a quarter and half of its work (X_cytograd_ebm_25, _50). Says how well batches are mixed
/// (iLISI) and labels kept apart (cLISI) before and after.
#[derive(clap::Args)]
pub struct Args {
    /// A file with counts or log-normalised values: h5ad, 10x HDF5 or MatrixMarket folder, loom, CSV or TSV
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// h5ad file to write; may be IN itself
    #[arg(short, long, value_name = "OUT.h5ad")]
    output: PathBuf,
    /// harmony moves all batches towards each other; ebm moves the others onto one
    #[arg(long, value_name = "NAME", default_value = "harmony")]
    method: MethodName,
    /// Column of obs with the batches
    #[arg(long, value_name = "COL")]
    batch_key: String,
    /// The batch that ebm moves the others onto [default: the largest]
    #[arg(long, value_name = "BATCH")]
    reference_batch: Option<String>,
    /// Column of obs with labels; only cLISI looks at it
    #[arg(long, value_name = "COL")]
    label_key: Option<String>,
    /// Layer with the expression values [default: X]
    #[arg(long, value_name = "NAME")]
    layer: Option<String>,
    /// How many variable genes
    #[arg(long, value_name = "N", default_value_t = 5000, value_parser = count)]
    n_top: usize,
    /// Number of principal components
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = count)]
    n_pcs: usize,
    /// How strongly Harmony wants batches mixed in every cluster
    #[arg(long, value_name = "THETA", default_value_t = HarmonyConfig::default().theta)]
    theta: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum MethodName {
    Harmony,
    Ebm,
}

/// A number of at least 1.
pub(super) fn count(text: &str) -> std::result::Result<usize, &'static str> {
    text.parse().ok().filter(|&n: &usize| n > 0).ok_or("give a number of at least 1")
}

pub fn run(args: &Args, session: &mut Session) -> Result<()> {
    paths::check_outputs(&[("-o", &args.output)], &[], None)?;
    let device = session.common.device()?;
    let method = match args.method {
        MethodName::Harmony => Method::Harmony,
        MethodName::Ebm => Method::Ebm,
    };
    let options = IntegrateOptions {
        reference_batch: args.reference_batch.clone(),
        label_key: args.label_key.clone(),
        layer: args.layer.clone(),
        n_hvg: args.n_top,
        n_pcs: args.n_pcs,
        harmony: HarmonyConfig { theta: args.theta, ..HarmonyConfig::default() },
        seed: session.common.seed,
        math: session.common.math.name().into(),
        memory: session.common.memory(),
        ..IntegrateOptions::new(&args.input, &args.output, method, &args.batch_key)
    };
    let summary = integrate(&options, &device, &mut session.progress)?;
    session.progress.close();
    if session.common.json {
        return output::print_json(&output::to_json(&summary)?);
    }
    session.progress.note(&text(&summary));
    Ok(())
}

/// One line: how many cells of how many batches, and the figures before and after.
fn text(summary: &IntegrateSummary) -> String {
    let (before, after) = (&summary.before, &summary.after);
    let labels = match (before.clisi, after.clisi) {
        (Some(before), Some(after)) => format!(", cLISI {before:.3} to {after:.3}"),
        _ => String::new(),
    };
    format!(
        "{}: {} cells of {} batches, {} components of {} genes; iLISI {:.3} to {:.3}{labels}",
        summary.output.display(),
        summary.cells,
        summary.batches.len(),
        summary.components,
        summary.genes,
        before.ilisi,
        after.ilisi,
    )
}
