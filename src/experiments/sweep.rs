//! A search over hyper-parameters for each clipping function: how good can it be, and how often does it
//! diverge on the way (CLAMS specification, section 8, T4 and T7)?
//!
//! The generative loss counts in every iteration and without threshold; looked for is the highest
//! validation accuracy of an epoch, before divergence if there is one.

use super::Protocol;
use super::annotation::{data, diverged, notes, single};
use super::ledger::{Ledger, Outcome};
use super::table::{Cell, Column, Table};
use super::tpe::{Dimension, propose};
use crate::analysis::linalg::{exp, ln};
use crate::error::Result;
use crate::models::annotator::study::{Fit, Study};
use crate::models::annotator::{Method, Profile};
use crate::models::ebm::{Clip, EbmConfig, Model};
use crate::models::run::Observer;
use crate::rng::{Stream, stream};
use serde_json::json;

/// Points at random before the search goes by what it has found.
const AT_RANDOM: usize = 10;
/// Trials that are proposed together: their number must not depend on threads.
const TOGETHER: usize = 4;

/// Layers of the small space are narrower by this.
const QUARTER: usize = 4;

const WIDTHS: [[usize; 2]; 4] = [[256, 64], [512, 128], [800, 200], [1024, 256]];
const BLOCKS: [[usize; 2]; 4] = [[1, 1], [1, 2], [2, 2], [2, 4]];
const BATCHES: [usize; 4] = [32, 64, 128, 256];
const BUFFERS: [usize; 4] = [2_000, 5_000, 10_000, 20_000];

/// Widths, blocks, batch, buffer, weight decay, dropout, learning rate, step size, noise.
const SPACE: [Dimension; 9] = [
    Dimension::Choice(WIDTHS.len()),
    Dimension::Choice(BLOCKS.len()),
    Dimension::Choice(BATCHES.len()),
    Dimension::Choice(BUFFERS.len()),
    Dimension::Unit,
    Dimension::Unit,
    Dimension::Unit,
    Dimension::Unit,
    Dimension::Unit,
];

/// All clipping functions in the order of the tables.
pub const CLIPS: [(&str, Clip); 4] =
    [("none", Clip::None), ("elu", Clip::Elu), ("relu", Clip::Relu), ("leaky-relu", Clip::LeakyRelu)];

/// A point of the space as a configuration, with a `part`th of its widths.
fn configured(base: &EbmConfig, clip: Clip, part: usize, point: &[f64]) -> EbmConfig {
    let mut c = base.clone();
    let choice = |d: usize| point[d] as usize;
    let log_uniform = |d: usize, low: f64, high: f64| exp(ln(low) + point[d] * (ln(high) - ln(low)));
    c.net.widths = WIDTHS[choice(0)].map(|width| width / part).to_vec();
    c.net.blocks = BLOCKS[choice(1)].to_vec();
    c.optim.batch = BATCHES[choice(2)];
    c.sgld.buffer = BUFFERS[choice(3)];
    c.optim.weight_decay = log_uniform(4, 1e-6, 1e-2);
    c.net.dropout = (0.5 * point[5]) as f32;
    c.optim.lr = log_uniform(6, 1e-5, 3e-3);
    c.sgld.alpha = log_uniform(7, 1e-2, 1e1) as f32;
    c.sgld.sigma = log_uniform(8, 1e-3, 1e-1) as f32;
    (c.loss.clip, c.loss.p_on, c.loss.threshold) = (clip, 1.0, None);
    c
}

/// `trials` runs for each of `clips`, by name. Features and schedule are the paper's whatever the profile;
/// [`Profile::Small`] has a quarter of the paper's widths.
///
/// # Errors
/// As [`super::annotation::run`].
pub fn run(protocol: &Protocol, clips: &[(&str, Clip)], trials: usize, observer: &mut dyn Observer) -> Result<Table> {
    let mut protocol = protocol.clone();
    let part = if protocol.data.profile == Profile::Small { QUARTER } else { 1 };
    protocol.data.profile = Profile::Paper;
    let study = Study::read(&protocol.data, &protocol.changes, observer)?;
    let settings = study.settings(Method::Network(Model::Jem))?;
    let mut asked = json!({ "experiment": "sweep", "seed": protocol.data.seed, "data": data(&protocol, &study) });
    if part > 1 {
        asked["widths"] = json!(WIDTHS.map(|widths| widths.map(|width| width / part)));
    }
    let mut ledger = Ledger::open(&protocol, &asked)?;
    let view = study.view(&settings.features)?;
    let all = clips.len() * trials;
    let mut rows = Vec::new();
    let mut failed = Vec::new();
    observer.begin(all as u64, "sweep");
    for (place, (name, clip)) in clips.iter().enumerate() {
        let draws = Stream::new(protocol.data.seed, stream::SWEEP).part(place as u32);
        let mut history: Vec<(Vec<f64>, f64)> = Vec::new();
        let mut fits: Vec<Outcome<Fit>> = Vec::new();
        while fits.len() < trials {
            let first = fits.len();
            let batch = first..(first + TOGETHER).min(trials);
            let known = if first < AT_RANDOM { &[][..] } else { &history };
            let points: Vec<Vec<f64>> =
                batch.clone().map(|trial| propose(&SPACE, known, draws.at(trial as u32))).collect();
            let names: Vec<String> = batch.map(|trial| format!("{name}, trial {trial}")).collect();
            let outcomes = ledger.run(&names, all, &protocol, observer, &|at, device| {
                let seed = protocol.data.seed + (first + at) as u64;
                study.fit(&view, &configured(&settings.ebm, *clip, part, &points[at]), seed, device)
            })?;
            history.extend(
                points
                    .into_iter()
                    .zip(&outcomes)
                    .map(|(x, o)| (x, o.figures().and_then(|f| f.accuracy).unwrap_or(0.0))),
            );
            failed.extend(notes(&names, &outcomes));
            fits.extend(outcomes);
        }
        let all: Vec<&Fit> = fits.iter().filter_map(Outcome::figures).collect();
        let accuracies = || all.iter().filter_map(|fit| fit.accuracy).map(|v| 100.0 * v);
        rows.push((
            (*name).to_owned(),
            vec![
                single(all.len() as f64),
                diverged(all.iter().map(|fit| fit.diverged.is_some())).map(|cell| Cell { sd: None, ..cell }),
                Cell::over(accuracies()),
                single(accuracies().fold(0.0, f64::max)),
            ],
        ));
    }
    observer.end();
    let columns = [("runs", 0), ("div %", 2), ("valid acc %", 2), ("best", 2)];
    let table = Table {
        title: format!(
            "Sweep: {trials} runs of {} epochs per clipping function; best validation accuracy of each run, mean ± sd.",
            settings.ebm.optim.epochs
        ),
        head: "clipping",
        columns: columns.map(|(name, digits)| Column { name, digits }).to_vec(),
        rows,
        notes: failed,
    };
    table.write(&protocol.out)?;
    Ok(table)
}
