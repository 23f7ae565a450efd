//! `cytograd train`: a labelled reference to a run folder.

use super::data::Data;
use super::{Session, output, rehearse};
use crate::error::Result;
use crate::models::annotator::input::explain;
use crate::models::annotator::rehearse::{RehearseOptions, anew};
use crate::models::annotator::{Method, Preparation, Profile, TrainOptions, TrainSummary, train};
use crate::models::run::Observer;
use clap::ValueEnum;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde_json::Value;
use std::path::{Path, PathBuf};

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
    #[command(flatten)]
    data: Data,
    /// Run folder to write
    #[arg(short, long, value_name = "DIR", visible_alias = "output")]
    out: PathBuf,
    /// Passes over the training cells [default: by the profile]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    epochs: Option<u32>,
    /// Network and schedule: paper (large), small, or auto by the number of cells
    #[arg(long, value_name = "NAME", default_value = "auto")]
    profile: ProfileName,
    /// How genes weigh in the components: variance, or zscore (alike, as in the paper) [default: variance for
    /// small references; --rehearse may choose the other one for a query]
    #[arg(long, value_name = "WAY", value_parser = Preparation::from_name)]
    preparation: Option<Preparation>,
    /// Langevin chains that each follow one class, for generating cells: better cells, worse labels
    #[arg(long)]
    conditional: bool,
    /// Slots of a class in the buffer of --conditional: balanced (equal), or imbalanced (by frequency)
    #[arg(long, value_name = "KIND", default_value = "balanced", requires = "conditional")]
    buffer: Buffer,
    /// How often a diverged run may go back to its last epoch, with longer chains and a lower rate
    #[arg(long, value_name = "N", default_value_t = 0)]
    restarts: usize,
    /// Rehearse afterwards (see `cytograd rehearse`), and train again if the other preparation finds more
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
            preparation: self.preparation,
            ..self.data.options(self.model, &self.out)
        }
    }
}

pub fn run(args: &Args, session: &mut Session) -> Result<()> {
    let device = session.common.device()?;
    let options = args.options(session);
    let files: Vec<&Path> = std::iter::once(&*options.reference).chain(options.query.as_deref()).collect();
    let trained = train(&options, &device, &mut session.progress);
    let mut summary = trained.map_err(|e| explain(e, &files))?;
    tell(&summary, session);
    let mut rehearsal = None;
    if args.rehearse {
        let first = rehearse::play(RehearseOptions::new(&args.out), session)?;
        let (again, last) = anew(&options, first, &device, &mut session.progress)?;
        if let Some(again) = again {
            tell(&again, session);
            summary = again;
        }
        rehearsal = Some(last);
    }
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

fn tell(summary: &TrainSummary, session: &mut Session) {
    session.progress.close();
    if !session.common.json {
        session.progress.note(&text(summary));
    }
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
