//! `cytograd annotate`: a trained run and a query to labels.

use super::{Session, output};
use crate::data::genes::MIN_OVERLAP;
use crate::data::select::Condition;
use crate::error::Result;
use crate::models::annotator::{AnnotateOptions, AnnotateSummary, Score, annotate};
use crate::models::run::Observer;
use crate::paths;
use crate::report::pipeline::Figures;
use std::path::PathBuf;

/// Label the cells of a file with a trained model
///
/// Writes a copy of the file (h5ad; of any other format a new h5ad file) with, in obs, cytograd_label, cytograd_prob (its probability),
/// cytograd_logpx (log density, up to a constant; of models that have one), cytograd_pvalue (against held-out reference
/// cells) and cytograd_ood (known or unknown); in obsm X_cytograd; in uns how it was made. Nothing
/// that was in the file is lost.
#[derive(clap::Args)]
pub struct Args {
    /// Run folder that `cytograd train` wrote
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// File with the cells to label: h5ad, 10x HDF5 or MatrixMarket folder, loom, CSV or TSV
    #[arg(value_name = "QUERY")]
    query: PathBuf,
    /// h5ad file to write; may be QUERY itself, but not with --where
    #[arg(short, long, value_name = "OUT.h5ad")]
    output: PathBuf,
    /// Only cells with this value in this column (or COL!=VALUE); repeat for more. The output holds
    /// these cells only
    #[arg(long = "where", value_name = "COL=VALUE")]
    filter: Vec<Condition>,
    /// Layer with the expression values [default: as in training]
    #[arg(long, value_name = "NAME")]
    layer: Option<String>,
    /// Write one line per cell to this file as well
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Write what --json prints to this file as well
    #[arg(long, value_name = "FILE")]
    summary: Option<PathBuf>,
    #[command(flatten)]
    pipeline: super::report::Pipeline,
    /// Share of cells of known types that may be called unknown
    #[arg(long, value_name = "RATE", default_value_t = 0.05, value_parser = rate)]
    fpr: f64,
    /// Score that p-value and flag go by: logpx, maxp, mahalanobis, knn or mahalanobis_maxp, each also
    /// averaged over the cells around (maxp_smooth, ...) [default: the run's own, see rehearse]
    #[arg(long, value_name = "NAME", value_parser = score)]
    score: Option<Score>,
    /// Write every score that the run has, as cytograd_score_NAME with cytograd_pvalue_NAME
    #[arg(long)]
    scores: bool,
    /// Share of the model's genes that the query must have
    #[arg(long, value_name = "SHARE", default_value_t = MIN_OVERLAP, value_parser = share)]
    min_gene_overlap: f64,
}

/// A share from 0 to 1.
pub(super) fn share(text: &str) -> std::result::Result<f64, &'static str> {
    text.parse().ok().filter(|v| (0.0..=1.0).contains(v)).ok_or("give a share between 0 and 1, as in 0.5")
}

/// A rate above 0 and below 1.
pub(super) fn rate(text: &str) -> std::result::Result<f64, &'static str> {
    text.parse().ok().filter(|&v: &f64| v > 0.0 && v < 1.0).ok_or("give a rate between 0 and 1, as in 0.05")
}

fn score(name: &str) -> std::result::Result<Score, String> {
    Score::from_name(name).map_err(|e| e.to_string())
}

pub fn run(args: &Args, session: &mut Session) -> Result<()> {
    let mut outputs = vec![("-o", args.output.as_path())];
    outputs.extend(args.csv.as_deref().map(|path| ("--csv", path)));
    outputs.extend(args.summary.as_deref().map(|path| ("--summary", path)));
    outputs.extend(args.pipeline.outputs());
    // -o may be the query: cells keep what they had.
    paths::check_outputs(&outputs, &[], Some(&args.model))?;
    paths::check_outputs(&outputs[1..], &[("the query", &args.query)], None)?;
    let device = session.common.device()?;
    let options = AnnotateOptions {
        filter: args.filter.clone(),
        csv: args.csv.clone(),
        summary: args.summary.clone(),
        fpr: args.fpr,
        score: args.score,
        all_scores: args.scores,
        min_gene_overlap: args.min_gene_overlap,
        layer: args.layer.clone(),
        math: session.common.math.name().into(),
        memory: session.common.memory(),
        ..AnnotateOptions::new(&args.model, &args.query, &args.output)
    };
    let summary = annotate(&options, &device, &mut session.progress)?;
    args.pipeline.write(&args.output, &Figures::from(&summary))?;
    session.progress.close();
    if session.common.json {
        return output::print_json(&output::to_json(&summary)?);
    }
    session.progress.note(&text(&summary));
    Ok(())
}

/// One line: how many cells, which labels, how many unknown.
pub fn text(summary: &AnnotateSummary) -> String {
    let mut labels: Vec<(&String, &usize)> = summary.labels.iter().collect();
    labels.sort_by_key(|(_, n)| std::cmp::Reverse(**n));
    let shown: Vec<String> = labels.iter().take(8).map(|(label, n)| format!("{label} {n}")).collect();
    let more = if labels.len() > shown.len() { ", ..." } else { "" };
    format!(
        "{}: {} cells ({}{more}), {} of them unlike the reference, mean probability {:.3}",
        summary.output.display(),
        summary.cells,
        shown.join(", "),
        summary.unknown,
        summary.mean_prob
    )
}
