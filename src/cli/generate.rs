//! `cytograd generate`: cells drawn from a trained model.

use super::integrate::count;
use super::{Session, output};
use crate::error::Result;
use crate::models::annotator::{GenerateOptions, GenerateSummary, generate};
use crate::models::run::Observer;
use crate::paths;
use std::path::PathBuf;

/// Draw cells of every class from a trained model
///
/// Takes them from the replay buffer of the run (what its Langevin chains have come to), from new
/// chains where that has too few of a class, or from VERA's generator. X has the features that the
/// model works on, or with --genes expression, ln(1 + x) of normalised counts; obs has the class,
/// the model's own label and where a cell comes from. Says how much the cells are like real ones:
/// shares that are labelled as their class, distances, MMD, beside the same for held-out real cells.
#[derive(clap::Args)]
pub struct Args {
    /// Run folder that `cytograd train` wrote: any network but resnet
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// h5ad file to write
    #[arg(short, long, value_name = "OUT.h5ad")]
    output: PathBuf,
    /// Cells of each class
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = count)]
    per_class: usize,
    /// Write expression of genes as X, and the features as obsm X_cytograd_features
    #[arg(long)]
    genes: bool,
    /// Rounds of 40 Langevin steps that a new chain takes
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = count)]
    rounds: usize,
}

pub fn run(args: &Args, session: &mut Session) -> Result<()> {
    paths::check_outputs(&[("-o", &args.output)], &[], Some(&args.model))?;
    let device = session.common.device()?;
    let options = GenerateOptions {
        genes: args.genes,
        rounds: args.rounds,
        seed: session.common.seed,
        math: session.common.math.name().into(),
        ..GenerateOptions::new(&args.model, &args.output, args.per_class)
    };
    let summary = generate(&options, &device, &mut session.progress)?;
    session.progress.close();
    if session.common.json {
        return output::print_json(&output::to_json(&summary)?);
    }
    session.progress.note(&text(&summary));
    if summary.classes.is_empty() {
        return Ok(());
    }
    output::print(&table(&summary))
}

/// One line: how many cells, from where.
fn text(summary: &GenerateSummary) -> String {
    let origins: Vec<String> = summary.origins.iter().map(|(name, n)| format!("{n} from the {name}")).collect();
    format!(
        "{}: {} cells of {} classes by {}, {}",
        summary.output.display(),
        summary.cells,
        summary.classes.len(),
        summary.model,
        origins.join(", ").replace("from the chain", "from new chains")
    )
}

/// A row per class: generated cells, and held-out real ones after a slash.
fn table(summary: &GenerateSummary) -> String {
    let header = ["class (generated / held out)", "cells", "by model", "by 15 nearest", "mean", "nearest", "MMD2"];
    let rows: Vec<Vec<String>> = summary
        .classes
        .iter()
        .map(|class| {
            let both = |figure: &dyn Fn(&crate::models::annotator::fidelity::Figures) -> String| {
                let one = |f: &Option<_>| f.as_ref().map_or("-".into(), figure);
                format!("{} / {}", one(&class.generated), one(&class.held_out))
            };
            vec![
                class.class.clone(),
                both(&|f| f.cells.to_string()),
                both(&|f| format!("{:.3}", f.by_model)),
                both(&|f| format!("{:.3}", f.by_neighbours)),
                both(&|f| format!("{:.2}", f.mean_offset)),
                both(&|f| format!("{:.2}", f.nearest_ratio)),
                both(&|f| format!("{:.4}", f.mmd)),
            ]
        })
        .collect();
    output::table(&header, &rows)
}
