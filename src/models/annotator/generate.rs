//! A trained run to generated cells: an h5ad file of them, and how much they are like real ones.

use super::familiarity::kept;
use super::features::Features;
use super::fidelity::{Fidelity, Labelled, fidelity};
use super::method::Method;
use super::model::FeatureModel;
use super::opened::Opened;
use super::trained::Trained;
use crate::data::annotated::{Entry, Value};
use crate::data::{Categorical, Column, Dataset, Dense, Matrix, Table, h5ad};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::models::ebm::generate::{Generated, Wish, generate as draw};
use crate::models::ebm::{Cells, Model, evaluate};
use crate::models::run::{Observer, RunFolder, State, interrupt};
use serde::Serialize;
use std::path::PathBuf;

/// Features of the training cells whose labels these are: `familiarity.reference`.
const LABELS: &str = "familiarity.labels";
const REFERENCE: &str = "familiarity.reference";
/// Features and labels of cells that were not trained on.
const HELD_OUT: &str = "held_out.features";
const HELD_OUT_LABELS: &str = "held_out.labels";

/// Adds to a model file what generated cells are compared with. `train` are all training cells.
pub(super) fn save_reference(state: &mut State, train: &Cells, held_out: &Cells) {
    state.words.insert(LABELS.into(), kept(train.len()).map(|row| train.y[row]).collect());
    let w = held_out.features;
    let rows: Vec<usize> = kept(held_out.len()).collect();
    let x = rows.iter().flat_map(|&row| &held_out.x[row * w..(row + 1) * w]).copied().collect();
    state.set(HELD_OUT, &[rows.len(), w], x);
    state.words.insert(HELD_OUT_LABELS.into(), rows.iter().map(|&row| held_out.y[row]).collect());
}

/// What to generate.
#[derive(Clone, Debug)]
pub struct GenerateOptions {
    /// Run folder of a finished training.
    pub model: PathBuf,
    /// h5ad file to write.
    pub output: PathBuf,
    /// Cells of each class.
    pub per_class: usize,
    /// Write genes as X: the features turned back.
    pub genes: bool,
    /// Rounds of 40 Langevin steps that a new chain takes.
    pub rounds: usize,
    /// Seed of the draws.
    pub seed: u64,
    /// The mode of the device, for the record.
    pub math: String,
}

impl GenerateOptions {
    /// Everything else at its default.
    pub fn new(model: impl Into<PathBuf>, output: impl Into<PathBuf>, per_class: usize) -> GenerateOptions {
        GenerateOptions {
            model: model.into(),
            output: output.into(),
            per_class,
            genes: false,
            rounds: 1000,
            seed: 0,
            math: "strict".into(),
        }
    }
}

/// What a generation reports.
#[derive(Clone, Debug, Serialize)]
pub struct GenerateSummary {
    /// The file that was written.
    pub output: PathBuf,
    /// Name of the model.
    pub model: String,
    /// Number of cells.
    pub cells: usize,
    /// How many came from the replay buffer, from new chains, from a generator.
    pub origins: Vec<(&'static str, usize)>,
    /// Classes that have fewer cells than were asked for.
    pub short: Vec<String>,
    /// How much they are like real cells; empty for runs of versions that did not keep any.
    pub classes: Vec<Fidelity>,
}

/// Generates cells of every class and writes them.
///
/// # Errors
/// `Error::Run` if the run cannot be used, `Error::Usage` for a model without density, `Error::Io` if the
/// output cannot be written. It is written whole or not at all.
pub fn generate(options: &GenerateOptions, device: &Device, observer: &mut dyn Observer) -> Result<GenerateSummary> {
    let Opened { folder, settings, state, features, method, trained } = Opened::open(&options.model, device)?;
    let manifest = folder.manifest();
    let (width, names) = (features.width(), &manifest.labels);
    let without_density = |why: &str| {
        Error::usage(format!("{}: {} {why}", options.model.display(), manifest.model), "train clams, jem or vera")
    };
    if method == Method::Network(Model::Resnet) && !settings.ebm.base {
        return Err(without_density("has no density to draw from"));
    }
    let Trained::Network(network) = trained else {
        return Err(without_density("generates no cells"));
    };

    let generative: Vec<_> =
        state.tensors.iter().map(|(name, (shape, values))| (name.clone(), shape.clone(), values.clone())).collect();
    let wish = Wish { per_class: options.per_class, rounds: options.rounds, seed: options.seed };
    let mut begun = false;
    let drawn = draw(&network, &settings.ebm, &generative, wish, device, &mut |done, total| {
        interrupt::check("no output was written")?;
        if !std::mem::replace(&mut begun, true) {
            observer.begin(total, "generating");
        }
        observer.step(done, format_args!("round {done}/{total}"));
        Ok(())
    });
    observer.end();
    let drawn = drawn?;
    let by_model =
        |x: &[f32]| -> Result<Vec<u32>> { Ok(evaluate::readings(&evaluate::logits(&network, x, device)?).label) };
    let labels = by_model(&drawn.x)?;
    let summary = GenerateSummary {
        output: options.output.clone(),
        model: manifest.model.clone(),
        cells: drawn.class.len(),
        origins: origins(&drawn),
        short: short(&drawn, names, options.per_class),
        classes: compared(&state, names, width, &drawn, &by_model, device)?,
    };
    if !summary.short.is_empty() {
        observer.warn(&format!(
            "fewer than {} cells could be drawn of {}",
            options.per_class,
            crate::data::table::list_names(&summary.short)
        ));
    }
    interrupt::check("no output was written")?;
    let label_key = manifest.preprocessing["reference"]["label_key"].as_str().unwrap_or("cell_type");
    let mut dataset = dataset(&drawn, &labels, names, label_key, &features, options.genes)?;
    dataset.uns.push(("cytograd_generated".into(), provenance(options, &folder, &summary, device)));
    h5ad::write(&options.output, &dataset)?;
    Ok(summary)
}

fn origins(drawn: &Generated) -> Vec<(&'static str, usize)> {
    let mut counts: Vec<(&'static str, usize)> = Vec::new();
    for origin in &drawn.origin {
        match counts.iter_mut().find(|(name, _)| *name == origin.name()) {
            Some((_, n)) => *n += 1,
            None => counts.push((origin.name(), 1)),
        }
    }
    counts
}

fn short(drawn: &Generated, names: &[String], per_class: usize) -> Vec<String> {
    let of = |class: usize| drawn.class.iter().filter(|&&c| c as usize == class).count();
    names.iter().enumerate().filter(|(class, _)| of(*class) < per_class).map(|(_, name)| name.clone()).collect()
}

fn compared(
    state: &State,
    names: &[String],
    width: usize,
    drawn: &Generated,
    by_model: &dyn Fn(&[f32]) -> Result<Vec<u32>>,
    device: &Device,
) -> Result<Vec<Fidelity>> {
    let cells = |x: &str, y: &str| Some((state.tensors.get(x)?.1.as_slice(), state.words.get(y)?.as_slice()));
    let (Some(train), Some(held_out)) = (cells(REFERENCE, LABELS), cells(HELD_OUT, HELD_OUT_LABELS)) else {
        return Ok(Vec::new());
    };
    let labelled = |(x, y)| Labelled { x, y };
    let generated = Labelled { x: &drawn.x, y: &drawn.class };
    fidelity(names, width, labelled(train), labelled(held_out), generated, by_model, device)
}

/// Generated cells as a data set: features, or genes with the features in obsm.
fn dataset(
    drawn: &Generated,
    labels: &[u32],
    names: &[String],
    label_key: &str,
    features: &FeatureModel,
    genes: bool,
) -> Result<Dataset> {
    let n = drawn.class.len();
    let matrix = |x: Vec<f32>, width: usize| Ok::<_, Error>(Matrix::Dense(Dense::new(n, width, x)?));
    let categorical = |codes: &[u32]| {
        let mut column = Categorical::with_categories::<&str>(&[], names.to_vec());
        column.codes = codes.iter().map(|&code| code as i32).collect();
        Column::Categorical(column)
    };
    let digits = n.to_string().len();
    let mut obs = Table::new((1..=n).map(|i| format!("generated-{i:0digits$}")).collect());
    obs.set(label_key, categorical(&drawn.class))?;
    obs.set("cytograd_label", categorical(labels))?;
    let origins: Vec<&str> = drawn.origin.iter().map(|origin| origin.name()).collect();
    obs.set("cytograd_origin", Column::Categorical(Categorical::from_strings(&origins)))?;
    let as_genes = genes && features.config.features == Features::Pcs;
    let (x, var) = match as_genes {
        true => (features.to_genes(&drawn.x), features.genes.clone()),
        false => (drawn.x.clone(), features.names(names)),
    };
    let mut dataset = Dataset::new(matrix(x, var.len())?, obs, Table::new(var))?;
    if as_genes {
        let features = Entry::Matrix(matrix(drawn.x.clone(), features.width())?);
        dataset.obsm.push(("X_cytograd_features".into(), features));
    }
    Ok(dataset)
}

fn provenance(options: &GenerateOptions, folder: &RunFolder, summary: &GenerateSummary, device: &Device) -> Value {
    Value::dict()
        .with("version", env!("CARGO_PKG_VERSION"))
        .with("model", summary.model.clone())
        .with("model_sha256", folder.model_checksum().unwrap_or_default())
        .with("x_is", if options.genes { "ln(1 + normalised expression)" } else { "features of the model" })
        .with("per_class", Value::Int(options.per_class as i64))
        .with("rounds", Value::Int(options.rounds as i64))
        .with("seed", Value::Int(options.seed as i64))
        .with("device", device.name())
        .with("math", options.math.clone())
}
