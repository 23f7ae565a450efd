//! Batch effects taken off a file's cells: principal components, corrected by Harmony or by an
//! energy-based model ([`crate::models::ebm::correct`]), and how well that mixed them.
//!
//! May use: `data`, `analysis`, `models::ebm`, `models::run`, and of `models::annotator` what reads files.
#![forbid(unsafe_code)]

mod components;
mod mixing;

pub use mixing::Mixing;

use super::annotator::cells::{Expression, Query};
use super::annotator::input;
use crate::analysis::harmony::{BatchVariable, HarmonyConfig, harmonize};
use crate::data::annotated::{Entry, Value};
use crate::data::h5ad::Additions;
use crate::data::labels::Labels;
use crate::data::{Dataset, Dense, Matrix, Memory, results};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::models::ebm::correct::{CorrectConfig, correct};
use crate::models::run::{Observer, interrupt};
use components::Components;
use serde::Serialize;
use std::path::PathBuf;

/// How batches are brought together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// All batches towards each other (Korsunsky et al. 2019).
    Harmony,
    /// Every other batch onto one (Liu et al., appendix A.4).
    Ebm,
}

impl Method {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Method::Harmony => "harmony",
            Method::Ebm => "ebm",
        }
    }
}

/// What to integrate, and how.
#[derive(Clone, Debug)]
pub struct IntegrateOptions {
    /// File of any format.
    pub input: PathBuf,
    /// h5ad file to write; may be the input itself.
    pub output: PathBuf,
    /// How.
    pub method: Method,
    /// Column of obs with the batches.
    pub batch_key: String,
    /// The batch that the others are moved onto (EBM); the largest if not given.
    pub reference_batch: Option<String>,
    /// Column of obs with labels, for the figures alone.
    pub label_key: Option<String>,
    /// Layer in place of X.
    pub layer: Option<String>,
    /// Variable genes to use.
    pub n_hvg: usize,
    /// Principal components.
    pub n_pcs: usize,
    /// Settings of Harmony.
    pub harmony: HarmonyConfig,
    /// Settings of the energy-based correction.
    pub ebm: CorrectConfig,
    /// Seed of all random numbers.
    pub seed: u64,
    /// The mode of the device, for the record.
    pub math: String,
    /// How much of the file may be in memory when it is copied.
    pub memory: Memory,
}

impl IntegrateOptions {
    /// Everything else at its default.
    pub fn new(
        input: impl Into<PathBuf>,
        output: impl Into<PathBuf>,
        method: Method,
        batch_key: &str,
    ) -> IntegrateOptions {
        IntegrateOptions {
            input: input.into(),
            output: output.into(),
            method,
            batch_key: batch_key.into(),
            reference_batch: None,
            label_key: None,
            layer: None,
            n_hvg: 5000,
            n_pcs: 50,
            harmony: HarmonyConfig::default(),
            ebm: CorrectConfig::default(),
            seed: 0,
            math: "strict".into(),
            memory: Memory::default(),
        }
    }
}

/// What an integration reports.
#[derive(Clone, Debug, Serialize)]
pub struct IntegrateSummary {
    /// The file that was written.
    pub output: PathBuf,
    /// How.
    pub method: Method,
    /// Number of cells.
    pub cells: usize,
    /// The batches.
    pub batches: Vec<String>,
    /// The one that did not move, if one did not.
    pub reference_batch: Option<String>,
    /// Genes that the components were made of.
    pub genes: usize,
    /// Components.
    pub components: usize,
    /// Iterations of the model, or rounds of Harmony.
    pub iterations: u64,
    /// Whether the model's training diverged; what was reached before is kept.
    pub diverged: bool,
    /// Mean length that cells were moved by.
    pub displacement: f64,
    /// Of the components as they were.
    pub before: Mixing,
    /// Of the corrected components.
    pub after: Mixing,
}

/// Corrected components, and on the way.
struct Corrected {
    x: Vec<f64>,
    /// Share of the work done, in percent, and the components then.
    snapshots: Vec<(u32, Vec<f64>)>,
    iterations: u64,
    diverged: bool,
}

/// Corrects a file's components; writes a copy of it with them.
///
/// # Errors
/// `Error::Data` for a missing column, fewer than two batches, values that are no expression, cells without
/// counts; `Error::Io` if the output cannot be written. It is written whole or not at all.
pub fn integrate(options: &IntegrateOptions, device: &Device, observer: &mut dyn Observer) -> Result<IntegrateSummary> {
    results::check_target(&options.input, &options.output, false)?;
    let dataset = input::read(&options.input, options.layer.as_deref(), observer)?;
    let place = format!("{}: obs", dataset.source);
    let batches = Labels::read(&dataset.obs, &options.batch_key, &place)?;
    let labels = options.label_key.as_deref().map(|key| Labels::read(&dataset.obs, key, &place)).transpose()?;
    let reference = reference_batch(options, &batches, &place)?;
    let Components { scores, d, genes } =
        prepare(&dataset, options, observer).map_err(|e| input::explain(e, &[&options.input]))?;
    interrupt::check("no output was written")?;

    let found = match options.method {
        Method::Harmony => by_harmony(&scores, d, &batches, &options.harmony, observer)?,
        Method::Ebm => by_ebm(&scores, d, &batches, reference, options, device, observer)?,
    };
    observer.begin(0, "measuring");
    let of =
        |x: &[f64]| mixing::mixing(x, d, &batches.codes, labels.as_ref().map(|l| l.codes.as_slice()), options.seed);
    let (before, after) = (of(&scores)?, of(&found.x)?);
    observer.end();
    let moved = |(a, b): (&[f64], &[f64])| a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
    let cells = batches.codes.len();
    let summary = IntegrateSummary {
        output: options.output.clone(),
        method: options.method,
        cells,
        reference_batch: (options.method == Method::Ebm).then(|| batches.classes[reference as usize].clone()),
        batches: batches.classes.clone(),
        genes,
        components: d,
        iterations: found.iterations,
        diverged: found.diverged,
        displacement: scores.chunks(d).zip(found.x.chunks(d)).map(moved).sum::<f64>() / cells.max(1) as f64,
        before,
        after,
    };
    let matrix = |x: &[f64]| -> Result<Entry> {
        Ok(Entry::Matrix(Matrix::Dense(Dense::new(cells, d, x.iter().map(|&v| v as f32).collect())?)))
    };
    let name = format!("X_cytograd_{}", options.method.name());
    let mut obsm = vec![("X_cytograd_pca".to_owned(), matrix(&scores)?), (name.clone(), matrix(&found.x)?)];
    for (percent, x) in &found.snapshots {
        obsm.push((format!("{name}_{percent}"), matrix(x)?));
    }
    let uns = vec![("cytograd_integration".into(), provenance(options, &summary, device))];
    let additions = Additions { obsm, uns, ..Additions::default() };
    let notes = results::write_within(&options.input, &options.output, &additions, None, options.memory)?;
    notes.iter().for_each(|note| observer.note(note));
    Ok(summary)
}

fn prepare(dataset: &Dataset, options: &IntegrateOptions, observer: &mut dyn Observer) -> Result<Components> {
    let all: Vec<usize> = (0..dataset.n_obs()).collect();
    let Query { expression, .. } = Query::new(dataset, &all, None, None)?;
    let Expression { cells, place, .. } = &expression;
    let input = input::linear(&expression)?;
    input.note.iter().for_each(|note| observer.note(note));
    observer.begin(0, "principal components");
    let found = components::components(&input.x, cells, place, options.n_hvg, options.n_pcs);
    observer.end();
    found
}

/// The batch that is named, else the largest.
fn reference_batch(options: &IntegrateOptions, batches: &Labels, place: &str) -> Result<u32> {
    let names = || crate::data::table::list_names(&batches.classes);
    if batches.classes.len() < 2 {
        let what = format!("all cells are of one batch in \"{}\"", options.batch_key);
        return Err(Error::data(place, what, "choose another --batch-key"));
    }
    let found = match &options.reference_batch {
        Some(name) => batches.classes.iter().position(|class| class == name),
        None => (0..batches.classes.len()).max_by_key(|&b| (batches.counts[b], std::cmp::Reverse(b))),
    };
    let missing = || {
        let what =
            format!("no batch \"{}\" in \"{}\"", options.reference_batch.as_deref().unwrap_or(""), options.batch_key);
        Error::data(place, what, format!("it has {}", names()))
    };
    found.map(|b| b as u32).ok_or_else(missing)
}

fn by_harmony(
    scores: &[f64],
    d: usize,
    batches: &Labels,
    config: &HarmonyConfig,
    observer: &mut dyn Observer,
) -> Result<Corrected> {
    observer.begin(0, "Harmony");
    let variable = BatchVariable { codes: &batches.codes, levels: batches.classes.len() };
    let found = harmonize(scores, d, &[variable], config);
    observer.end();
    let found = found?;
    if !found.converged {
        observer.detail("Harmony stopped at its largest number of rounds");
    }
    let iterations = found.rounds.len() as u64;
    Ok(Corrected { x: found.corrected, snapshots: Vec::new(), iterations, diverged: false })
}

fn by_ebm(
    scores: &[f64],
    d: usize,
    batches: &Labels,
    reference: u32,
    options: &IntegrateOptions,
    device: &Device,
    observer: &mut dyn Observer,
) -> Result<Corrected> {
    let of = |wanted: bool| -> Vec<usize> {
        (0..batches.codes.len()).filter(|&row| (batches.codes[row] == reference) == wanted).collect()
    };
    let (anchors, moving) = (of(true), of(false));
    // In units of the reference's standard deviations.
    let n = anchors.len() as f64;
    let mean: Vec<f64> = (0..d).map(|j| anchors.iter().map(|&r| scores[r * d + j]).sum::<f64>() / n).collect();
    let variance = |j: usize| anchors.iter().map(|&r| (scores[r * d + j] - mean[j]).powi(2)).sum::<f64>() / n;
    let std: Vec<f64> = (0..d).map(|j| variance(j).sqrt().max(1e-6)).collect();
    let scaled = |rows: &[usize]| -> Vec<f32> {
        let row = |&r: &usize| (0..d).map(move |j| (r, j));
        rows.iter().flat_map(row).map(|(r, j)| ((scores[r * d + j] - mean[j]) / std[j]) as f32).collect()
    };
    observer.begin(0, "correcting");
    let mut known = false;
    let found =
        correct(&scaled(&anchors), &scaled(&moving), d, &options.ebm, options.seed, device, &mut |total, log| {
            interrupt::check("no output was written")?;
            if !std::mem::replace(&mut known, true) {
                observer.begin(total, "correcting");
            }
            observer.step(log.t + 1, format_args!("L {:.3}", log.generative.unwrap_or(f32::NAN)));
            Ok(())
        });
    observer.end();
    let found = found?;
    if let Some(t) = found.divergence.at {
        observer.warn(&format!("the model diverged at iteration {t}; the cells stay where they were then"));
    }
    let whole = |x: &[f32]| -> Vec<f64> {
        let mut all = scores.to_vec();
        for (i, &r) in moving.iter().enumerate() {
            (0..d).for_each(|j| all[r * d + j] = f64::from(x[i * d + j]) * std[j] + mean[j]);
        }
        all
    };
    let [_, quarter, half] = &found.snapshots;
    let snapshots = [(25, quarter), (50, half)].into_iter().filter(|(_, x)| !x.is_empty());
    Ok(Corrected {
        x: whole(&found.x),
        snapshots: snapshots.map(|(percent, x)| (percent, whole(x))).collect(),
        iterations: found.iterations,
        diverged: found.divergence.at.is_some(),
    })
}

fn provenance(options: &IntegrateOptions, summary: &IntegrateSummary, device: &Device) -> Value {
    let figures = |mixing: &Mixing| {
        let mut value = Value::dict().with("ilisi", mixing.ilisi).with("ilisi_median", mixing.ilisi_median);
        if let (Some(mean), Some(median)) = (mixing.clisi, mixing.clisi_median) {
            value = value.with("clisi", mean).with("clisi_median", median);
        }
        value
    };
    let mut value = Value::dict()
        .with("version", env!("CARGO_PKG_VERSION"))
        .with("method", summary.method.name())
        .with("batch_key", options.batch_key.clone())
        .with("batches", summary.batches.clone())
        .with("genes", Value::Int(summary.genes as i64))
        .with("components", Value::Int(summary.components as i64))
        .with("seed", Value::Int(options.seed as i64))
        .with("device", device.name())
        .with("math", options.math.clone())
        .with("before", figures(&summary.before))
        .with("after", figures(&summary.after));
    if let Some(reference) = &summary.reference_batch {
        value = value.with("reference_batch", reference.clone());
    }
    value
}
