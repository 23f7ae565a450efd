//! `cytograd experiment`: the papers' tables on any data set.

use super::{Session, output};
use crate::data::genes::MIN_OVERLAP;
use crate::data::select::Condition;
use crate::error::{Error, Result};
use crate::experiments::variants::Variant;
use crate::experiments::{Protocol, annotation, one_class, sweep, table::Table};
use crate::models::annotator::{Change, Method, Profile, TrainOptions};
use crate::models::ebm::Model;
use std::path::PathBuf;

/// Reproduce a table of the CLAMS paper on your own data
///
/// Runs are made side by side, one thread each; a table is the same for any number of threads. Every
/// result is kept as it comes: after Ctrl-C the same command goes on. The folder gets results.jsonl and
/// table.md, table.csv, table.json.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// Labels, calibration and unknown types of a query, by several models over seeds
    Annotation {
        #[command(flatten)]
        data: Data,
        /// What to compare, separated by commas [default: all models]
        #[arg(long, value_name = "MODELS", value_delimiter = ',', value_parser = super::train::methods())]
        models: Vec<Method>,
    },
    /// Every type in turn left out of training and looked for afterwards
    OneClass {
        #[command(flatten)]
        data: Data,
        /// What to compare, separated by commas [default: all networks, and svm]
        #[arg(long, value_name = "MODELS", value_delimiter = ',', value_parser = super::train::methods())]
        models: Vec<Method>,
    },
    /// The eight combinations of clipping, chance and threshold, on a query or with types left out
    Ablation {
        #[command(flatten)]
        data: Data,
        /// Leave out every type in turn, in place of annotating a query
        #[arg(long)]
        one_class: bool,
    },
    /// A search over network, schedule and sampler for each clipping function: accuracy and divergence
    Sweep {
        #[command(flatten)]
        data: Data,
        /// Runs for each clipping function
        #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
        trials: u16,
        /// Clipping functions, separated by commas [default: none, elu, relu, leaky-relu]
        #[arg(long, value_name = "NAMES", value_delimiter = ',')]
        clips: Vec<String>,
    },
}

/// The flags of `train` that say what the data are.
#[derive(clap::Args)]
struct Data {
    /// File with labelled cells
    #[arg(long, value_name = "FILE")]
    reference: PathBuf,
    /// Column of obs with the labels
    #[arg(long, value_name = "COL")]
    label_key: String,
    /// CSV with new names for labels, from,to per line
    #[arg(long, value_name = "FILE")]
    label_map: Option<PathBuf>,
    /// Column of obs with the batches to level
    #[arg(long, value_name = "COL")]
    batch_key: Option<String>,
    /// File with the query, whose labels the table is judged by; may be the reference's own
    #[arg(long, value_name = "FILE")]
    query: Option<PathBuf>,
    /// Reference cells have this value in this column; repeat for more
    #[arg(long = "where", value_name = "COL=VALUE")]
    filter: Vec<Condition>,
    /// The same for the query [default: all cells; in the reference's own file those that --where leaves]
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
    /// Passes over the training cells [default: by the profile]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    epochs: Option<u32>,
    /// Network and schedule: paper (large), small, or auto by the number of cells; sweep takes the paper's,
    /// with small a quarter of its widths
    #[arg(long, value_name = "NAME", default_value = "auto", value_parser = Profile::from_name)]
    profile: Profile,
    /// Another setting of the networks, by its place under configuration.settings in a run's manifest, as in
    /// ebm.sgld.alpha=10; repeat for more
    #[arg(long = "set", value_name = "PATH=VALUE")]
    changes: Vec<Change>,
    /// Trainings of each network, with seeds from --seed on
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    seeds: u16,
    /// Folder for the results; one that holds results of the same experiment is gone on with
    #[arg(short, long, value_name = "DIR", visible_alias = "output")]
    out: PathBuf,
    /// Replace what is in --out
    #[arg(long)]
    overwrite: bool,
}

impl Data {
    fn protocol(&self, session: &Session) -> Result<Protocol> {
        let data = TrainOptions {
            batch_key: self.batch_key.clone(),
            query: self.query.clone(),
            filter: self.filter.clone(),
            query_filter: self.query_where.clone(),
            hold_out: self.hold_out.clone(),
            layer: self.layer.clone(),
            label_map: self.label_map.clone(),
            min_gene_overlap: self.min_gene_overlap,
            epochs: self.epochs.map(|n| n as usize),
            seed: session.common.seed,
            profile: self.profile,
            math: session.common.math.name().into(),
            ..TrainOptions::new(Model::Resnet, &self.reference, &self.label_key, &self.out)
        };
        Ok(Protocol {
            data,
            changes: self.changes.clone(),
            out: self.out.clone(),
            overwrite: self.overwrite,
            seeds: u64::from(self.seeds),
            threads: session.common.threads(),
            device: session.common.device()?,
        })
    }
}

pub fn run(args: &Args, session: &mut Session) -> Result<()> {
    let table = match &args.what {
        What::Annotation { data, models } => {
            let protocol = data.protocol(session)?;
            annotation::run(&protocol, &variants(models, Method::all()), &mut session.progress)?
        }
        What::OneClass { data, models } => {
            let protocol = data.protocol(session)?;
            let default = Method::all().filter(|m| matches!(m, Method::Network(_)) || m.name() == "svm");
            one_class::run(&protocol, &variants(models, default), &mut session.progress)?
        }
        What::Ablation { data, one_class: false } => {
            annotation::run(&data.protocol(session)?, &Variant::ablation(), &mut session.progress)?
        }
        What::Ablation { data, one_class: true } => {
            one_class::run(&data.protocol(session)?, &Variant::ablation(), &mut session.progress)?
        }
        What::Sweep { data, trials, clips } => {
            let protocol = data.protocol(session)?;
            let chosen: Vec<_> = match clips.is_empty() {
                true => sweep::CLIPS.to_vec(),
                false => clips.iter().map(|name| clip(name)).collect::<Result<_>>()?,
            };
            sweep::run(&protocol, &chosen, usize::from(*trials), &mut session.progress)?
        }
    };
    session.progress.close();
    if session.common.json {
        return output::print_json(&output::to_json(&table)?);
    }
    output::print(&text(&table))
}

fn variants(chosen: &[Method], default: impl Iterator<Item = Method>) -> Vec<Variant> {
    match chosen.is_empty() {
        true => default.map(Variant::of).collect(),
        false => chosen.iter().map(|&method| Variant::of(method)).collect(),
    }
}

fn clip(name: &str) -> Result<(&'static str, crate::models::ebm::Clip)> {
    sweep::CLIPS.into_iter().find(|(known, _)| *known == name).ok_or_else(|| {
        let names = sweep::CLIPS.map(|(name, _)| name).join(", ");
        Error::usage(format!("--clips {name}"), format!("use some of {names}"))
    })
}

fn text(table: &Table) -> String {
    let (header, rows) = table.texts();
    let mut text = format!("{}\n\n{}", table.title, output::table(&header, &rows));
    table.notes.iter().for_each(|note| text += &format!("\n{note}\n"));
    text
}
