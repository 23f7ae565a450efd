//! `cytograd train`: a labelled reference to a run folder.

use super::{Session, output, rehearse};
use crate::data::genes::MIN_OVERLAP;
use crate::data::select::Condition;
use crate::error::Result;
use crate::models::annotator::rehearse::RehearseOptions;
use crate::models::annotator::{Method, Profile, TrainOptions, TrainSummary, train};
use crate::models::run::Observer;
use clap::ValueEnum;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde_json::Value;
use std::path::PathBuf;

/// Train an annotator on a labelled reference
///
/// clams: classifier and density in one network, its generative loss clipped and gated so that it
/// does not diverge. jem: the same without clipping. hdge: a density by contrast with past cells.
/// hdge-jem: both densities. vera: a generator in place of sampling. resnet: the classifier alone.
/// The others are baselines: lda, a Gaussian per type; knn and ingest, nearest neighbours among
/// components of reference and query or of the reference alone; logreg, regression on the genes; svm
/// and scpred, support vector machines, linear and not; anchors, labels carried over by mutual
/// neighbours.
///
/// With --query the preparation of features (variable genes, PCA, Harmony) sees the query's values,
/// never its labels; annotate then corrects batch effects best. Without it a query is projected.
#[derive(clap::Args)]
pub struct Args {
    /// What to train
    #[arg(value_name = "MODEL", value_parser = methods())]
    model: Method,
    /// File with labelled cells: h5ad, loom, or a CSV with a column of labels
    #[arg(long, value_name = "FILE")]
    reference: PathBuf,
    /// Column of obs with the labels
    #[arg(long, value_name = "COL")]
    label_key: String,
    /// CSV with new names for labels, from,to per line; an empty second entry takes the label away
    #[arg(long, value_name = "FILE")]
    label_map: Option<PathBuf>,
    /// Column of obs with the batches to level
    #[arg(long, value_name = "COL")]
    batch_key: Option<String>,
    /// File of any format to annotate later; may be the reference's own file, see --where
    #[arg(long, value_name = "FILE")]
    query: Option<PathBuf>,
    /// Reference cells have this value in this column (or COL!=VALUE: another); repeat for more: one
    /// of the values of a column, all of the columns
    #[arg(long = "where", value_name = "COL=VALUE")]
    filter: Vec<Condition>,
    /// The same for the query [default: all cells; in the reference's own file the cells that --where
    /// leaves]
    #[arg(long, value_name = "COL=VALUE")]
    query_where: Vec<Condition>,
    /// Leave cells with this label out of the reference; repeat for more
    #[arg(long, value_name = "LABEL")]
    hold_out: Vec<String>,
    /// Layer with the expression values [default: X]
    #[arg(long, value_name = "NAME")]
    layer: Option<String>,
    /// Share of the reference's genes that the query must have
    #[arg(long, value_name = "SHARE", default_value_t = MIN_OVERLAP, value_parser = super::annotate::share)]
    min_gene_overlap: f64,
    /// Run folder to write
    #[arg(short, long, value_name = "DIR", visible_alias = "output")]
    out: PathBuf,
    /// Passes over the training cells [default: by the profile]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    epochs: Option<u32>,
    /// Network and schedule: paper (large), small, or auto by the number of cells
    #[arg(long, value_name = "NAME", default_value = "auto")]
    profile: ProfileName,
    /// Langevin chains that each follow one class, for generating cells: better cells, worse labels
    #[arg(long)]
    conditional: bool,
    /// Slots of a class in the buffer of --conditional: balanced (equal), or imbalanced (by frequency)
    #[arg(long, value_name = "KIND", default_value = "balanced", requires = "conditional")]
    buffer: Buffer,
    /// How often a diverged run may go back to its last epoch, with longer chains and a lower rate
    #[arg(long, value_name = "N", default_value_t = 0)]
    restarts: usize,
    /// Rehearse afterwards: see `cytograd rehearse`
    #[arg(long)]
    rehearse: bool,
    /// Go on with the run in --out, with the bits of a run that never stopped
    #[arg(long, conflicts_with = "overwrite")]
    resume: bool,
    /// Replace the run in --out
    #[arg(long)]
    overwrite: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Buffer {
    Balanced,
    Imbalanced,
}

/// The names of [`Method`].
pub(super) fn methods() -> impl TypedValueParser<Value = Method> {
    PossibleValuesParser::new(Method::all().map(Method::name)).try_map(|name| Method::from_name(&name))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ProfileName {
    Auto,
    Paper,
    Small,
}

impl Args {
    fn options(&self, session: &Session) -> TrainOptions {
        TrainOptions {
            batch_key: self.batch_key.clone(),
            query: self.query.clone(),
            filter: self.filter.clone(),
            query_filter: self.query_where.clone(),
            hold_out: self.hold_out.clone(),
            layer: self.layer.clone(),
            label_map: self.label_map.clone(),
            min_gene_overlap: self.min_gene_overlap,
            epochs: self.epochs.map(|n| n as usize),
            conditional: self.conditional,
            balanced: self.buffer == Buffer::Balanced,
            restarts: self.restarts,
            seed: session.common.seed,
            math: session.common.math.name().into(),
            resume: self.resume,
            overwrite: self.overwrite,
            profile: match self.profile {
                ProfileName::Auto => Profile::Auto,
                ProfileName::Paper => Profile::Paper,
                ProfileName::Small => Profile::Small,
            },
            ..TrainOptions::new(self.model, &self.reference, &self.label_key, &self.out)
        }
    }
}

pub fn run(args: &Args, session: &mut Session) -> Result<()> {
    let device = session.common.device()?;
    let summary = train(&args.options(session), &device, &mut session.progress)?;
    session.progress.close();
    if !session.common.json {
        session.progress.note(&text(&summary));
    }
    let rehearsal = match args.rehearse {
        true => Some(rehearse::play(RehearseOptions::new(&args.out), session)?),
        false => None,
    };
    session.progress.close();
    if session.common.json {
        let mut all = output::to_json(&summary)?;
        if let Some(rehearsal) = &rehearsal {
            all["rehearsal"] = output::to_json(rehearsal)?;
        }
        return output::print_json(&all);
    }
    rehearsal.map_or(Ok(()), |rehearsal| output::print(&rehearse::text(&rehearsal)))
}

/// One line: what was trained, how well it does on the reference, where it is.
pub fn text(summary: &TrainSummary) -> String {
    let figure = |part: &str, what: &str| summary.metrics[part][what].as_f64();
    let accuracy = |part: &str| figure(part, "accuracy").map_or("-".into(), |v| format!("{v:.3}"));
    let diverged = if summary.metrics["diverged"] == Value::Bool(true) { ", DIVERGED" } else { "" };
    format!(
        "{}: {} on {} cells of {} labels; accuracy on the reference: validation {}, test {}{diverged}",
        summary.run.display(),
        summary.model,
        summary.train_cells,
        summary.classes.len(),
        accuracy("valid"),
        accuracy("test"),
    )
}
