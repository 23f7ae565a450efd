//! `cytograd experiment`: the papers' tables on any data set.

use super::data::Data;
use super::{Session, output};
use crate::error::{Error, Result};
use crate::experiments::variants::Variant;
use crate::experiments::{Protocol, annotation, one_class, sweep, table::Table};
use crate::models::annotator::{Change, Method, Preparation, Profile, TrainOptions};
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
        common: Common,
        /// What to compare, separated by commas [default: all models]
        #[arg(long, value_name = "MODELS", value_delimiter = ',', value_parser = super::train::methods())]
        models: Vec<Method>,
    },
    /// Every type in turn left out of training and looked for afterwards
    OneClass {
        #[command(flatten)]
        common: Common,
        /// What to compare, separated by commas [default: all networks, and svm]
        #[arg(long, value_name = "MODELS", value_delimiter = ',', value_parser = super::train::methods())]
        models: Vec<Method>,
    },
    /// The eight combinations of clipping, chance and threshold, on a query or with types left out
    Ablation {
        #[command(flatten)]
        common: Common,
        /// Leave out every type in turn, in place of annotating a query
        #[arg(long)]
        one_class: bool,
    },
    /// A search over network, schedule and sampler for each clipping function: accuracy and divergence
    Sweep {
        #[command(flatten)]
        common: Common,
        /// Runs for each clipping function
        #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
        trials: u16,
        /// Clipping functions, separated by commas [default: none, elu, relu, leaky-relu]
        #[arg(long, value_name = "NAMES", value_delimiter = ',')]
        clips: Vec<String>,
    },
}

/// What all protocols are told. The query's labels are what a table is judged by.
#[derive(clap::Args)]
struct Common {
    #[command(flatten)]
    data: Data,
    /// Passes over the training cells [default: by the profile]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    epochs: Option<u32>,
    /// Network and schedule: paper (large), small, or auto by the number of cells; sweep takes the paper's,
    /// with small a quarter of its widths
    #[arg(long, value_name = "NAME", default_value = "auto", value_parser = Profile::from_name)]
    profile: Profile,
    /// How genes weigh in the components: variance, or zscore [default: variance for small references]
    #[arg(long, value_name = "WAY", value_parser = Preparation::from_name)]
    preparation: Option<Preparation>,
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

impl Common {
    fn protocol(&self, session: &Session) -> Result<Protocol> {
        let data = TrainOptions {
            epochs: self.epochs.map(|n| n as usize),
            seed: session.common.seed,
            profile: self.profile,
            preparation: self.preparation,
            math: session.common.math.name().into(),
            ..self.data.options(Model::Resnet, &self.out)
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
        What::Annotation { common, models } => {
            let protocol = common.protocol(session)?;
            annotation::run(&protocol, &variants(models, Method::all()), &mut session.progress)?
        }
        What::OneClass { common, models } => {
            let protocol = common.protocol(session)?;
            let default = Method::all().filter(|m| matches!(m, Method::Network(_)) || m.name() == "svm");
            one_class::run(&protocol, &variants(models, default), &mut session.progress)?
        }
        What::Ablation { common, one_class: false } => {
            annotation::run(&common.protocol(session)?, &Variant::ablation(), &mut session.progress)?
        }
        What::Ablation { common, one_class: true } => {
            one_class::run(&common.protocol(session)?, &Variant::ablation(), &mut session.progress)?
        }
        What::Sweep { common, trials, clips } => {
            let protocol = common.protocol(session)?;
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
