//! A trained run and a query file to labels, probabilities, densities and p-values.

use super::cells::Query;
use super::familiarity::{AROUND, Familiarity, complete};
use super::features::QueryRole;
use super::input;
use super::inputs::names_are_unique;
use super::model::FeatureModel;
use super::opened::{Opened, unusable};
use super::record::{QUERY, QueryAtHand, calibration};
use super::score::{Kind, Ladder, Score, Scores};
use super::trained::ladders;
use super::verdicts::{Calibration, Verdicts};
use crate::data::annotated::{Entry, Value};
use crate::data::genes::{GeneReport, MIN_OVERLAP};
use crate::data::h5ad::Additions;
use crate::data::select::{self, Condition};
use crate::data::{Blocks, Chosen, Dense, Matrix, Memory, RowBlocks, results, source};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::models::run::{Manifest, Observer, RunFolder, State, interrupt, write_whole};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What to annotate with what.
#[derive(Clone, Debug)]
pub struct AnnotateOptions {
    /// Run folder of a finished training.
    pub model: PathBuf,
    /// h5ad file.
    pub query: PathBuf,
    /// Which of its cells; the output then holds these only.
    pub filter: Vec<Condition>,
    /// h5ad file to write; may be the query itself if all cells are chosen.
    pub output: PathBuf,
    /// One line per cell.
    pub csv: Option<PathBuf>,
    /// The returned summary as a file.
    pub summary: Option<PathBuf>,
    /// Share of cells of known types that may be called unknown.
    pub fpr: f64,
    /// The score that flags cells, in place of the run's own choice.
    pub score: Option<Score>,
    /// Write every score that the run has, with its p-values.
    pub all_scores: bool,
    /// Layer in place of the one that was used in training.
    pub layer: Option<String>,
    /// Share of the model's genes that the query must have.
    pub min_gene_overlap: f64,
    /// The mode of the device (`backend::Math::name`), for the record.
    pub math: String,
    /// How much of the query may be in memory.
    pub memory: Memory,
}

impl AnnotateOptions {
    /// Everything else at its default.
    pub fn new(model: impl Into<PathBuf>, query: impl Into<PathBuf>, output: impl Into<PathBuf>) -> AnnotateOptions {
        AnnotateOptions {
            model: model.into(),
            query: query.into(),
            filter: Vec::new(),
            output: output.into(),
            csv: None,
            summary: None,
            fpr: 0.05,
            score: None,
            all_scores: false,
            layer: None,
            min_gene_overlap: MIN_OVERLAP,
            math: "strict".into(),
            memory: Memory::default(),
        }
    }
}

/// How a query's features were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Correction {
    /// The query took part in the preparation of the training.
    Joint,
    /// Projected, then corrected by reference mapping.
    ReferenceMapping,
    /// Projected, then centred by its own mean.
    Centring,
    /// Projected as it is.
    Uncorrected,
}

impl Correction {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Correction::Joint => "prepared together with the reference",
            Correction::ReferenceMapping => "corrected by reference mapping",
            Correction::Centring => "centred by their own mean",
            Correction::Uncorrected => "uncorrected",
        }
    }
}

/// What an annotation reports.
#[derive(Clone, Debug, Serialize)]
pub struct AnnotateSummary {
    /// The file that was written.
    pub output: PathBuf,
    /// Name of the model.
    pub model: String,
    /// Number of cells.
    pub cells: usize,
    /// Cells per label given.
    pub labels: BTreeMap<String, usize>,
    /// Cells flagged as unlike the reference.
    pub unknown: usize,
    /// Cells without counts, which have no label.
    pub not_annotated: usize,
    /// How batch effects were taken off.
    pub correction: Correction,
    /// Genes of the model.
    pub model_genes: usize,
    /// Those of them that the query has.
    pub matched_genes: usize,
    /// How they were found; absent for cells that were at hand during training.
    pub genes: Option<GeneReport>,
    /// Share of known cells that may be called unknown.
    pub fpr: f64,
    /// The score that flags cells.
    pub score: Score,
    /// Its value below which a cell is flagged; absent if none can be at this rate.
    pub threshold: Option<f64>,
    /// Held-out reference cells behind the p-values.
    pub calibration_cells: usize,
    /// Mean probability of the labels given.
    pub mean_prob: f64,
}

/// Network inputs of the query.
pub(super) struct Inputs {
    pub x: Vec<f32>,
    pub empty: Vec<bool>,
    correction: Correction,
    matched: usize,
    genes: Option<GeneReport>,
}

/// Annotates a query; writes a copy of its file with the results.
///
/// # Errors
/// `Error::Run` if the run cannot be used; as [`input::read`] for the query; `Error::Usage`
/// for a rate outside (0, 1) and for an output that is the query while `filter` leaves cells out;
/// `Error::Io` if an output cannot be written. Outputs are written whole or not at all.
pub fn annotate(options: &AnnotateOptions, device: &Device, observer: &mut dyn Observer) -> Result<AnnotateSummary> {
    if !(0.0..=1.0).contains(&options.min_gene_overlap) {
        let what = format!("--min-gene-overlap {}", options.min_gene_overlap);
        return Err(Error::usage(what, "give a share between 0 and 1, as in 0.5"));
    }
    if !(options.fpr > 0.0 && options.fpr < 1.0) {
        return Err(Error::usage(format!("--fpr {}", options.fpr), "give a rate between 0 and 1, as in 0.05"));
    }
    results::check_target(&options.query, &options.output, !options.filter.is_empty())?;
    let Opened { folder, state, features, trained, .. } = Opened::open(&options.model, device)?;
    let manifest = folder.manifest();
    let (width, classes) = (features.width(), manifest.labels.len());
    let familiarity = Familiarity::load(&state, width, classes).map_err(|e| unusable(&options.model, e))?;

    let source = input::open(&options.query, options.memory, observer)?;
    let layer = match (options.layer.as_deref(), manifest.preprocessing["layer"].as_str()) {
        (None, Some(name)) if source::layer_names(source.as_ref()).is_empty() => {
            observer.note(&format!("no layer \"{name}\" as in training, so X is used"));
            None
        }
        (asked, trained) => asked.or(trained),
    };
    let which = source::choose(source.as_ref(), layer)?;
    let names = input::names(source.as_ref(), &which)?;
    let rows = select::rows(&names.obs, &options.filter, &format!("{}: obs", names.source))?;
    let query = Query::new(&names, &rows, None, manifest.preprocessing["batch_key"].as_str())?;
    names_are_unique(&names, observer);
    drop(names);
    let inputs = {
        let blocks = Blocks::new(source.as_ref(), &which, options.memory)?;
        let x = Chosen::new(&blocks, &rows);
        inputs(&x, &query, &state, &features, options.min_gene_overlap, observer)
            .map_err(|e| input::explain(e, &[&options.query]))?
    };
    drop(source);
    warn_of_empty(&query, &inputs, observer);
    interrupt::check("no output was written")?;

    observer.begin(0, "annotating");
    let answers = trained.answers(&inputs.x, device)?;
    let mut score = options.score.unwrap_or_else(|| flagging_score(manifest));
    if score.smooth && inputs.empty.iter().filter(|e| !**e).count() <= AROUND {
        score = score.kind.plain();
        observer.note(&format!("too few cells to average over: flags go by {}", score.name()));
    }
    let wanted: Vec<Score> = Score::all().filter(|s| options.all_scores || *s == score).collect();
    let basic = match &familiarity {
        Some(familiarity) => familiarity.basic(&inputs.x, &answers, &wanted)?,
        None => Scores::of(&answers),
    };
    let ladders = ladders(|kind| Some(Ladder::new(calibration(&state, kind.plain())?)));
    let scores = complete(basic, &inputs.x, width, &inputs.empty, &ladders, &wanted)?;
    let embedding = trained.embedding(&inputs.x, device)?;
    observer.end();
    interrupt::check("no output was written")?;
    let calibration = Calibration::new(&state, score, options.fpr, observer)?;
    let (labels, fpr, all) = (&manifest.labels, options.fpr, options.all_scores);
    let cells = Verdicts::new(answers, &scores, &inputs.empty, &calibration, labels, fpr, all);
    let summary = summary(options, &folder, &inputs, &cells, &calibration);
    cells.many_flags(fpr).iter().for_each(|text| observer.warn(text));

    let n = cells.label.codes.len();
    let width = embedding.len().checked_div(n).unwrap_or(0);
    let layer_name = layer.unwrap_or("X").to_owned();
    let additions = Additions {
        uns: vec![("cytograd".into(), provenance(options, &folder, &summary, &layer_name, device))],
        obsm: vec![("X_cytograd".into(), Entry::Matrix(Matrix::Dense(Dense::new(n, width, embedding)?)))],
        obs: cells.columns(),
    };
    let chosen = (!options.filter.is_empty()).then_some(rows.as_slice());
    // The small files first, under their temporary names: a place that cannot be written is found
    // before the large file takes its name.
    let csv = options.csv.as_deref().map(|path| cells.csv(path, &query.expression.cells)).transpose()?;
    let notes = results::write_within(&options.query, &options.output, &additions, chosen, options.memory)?;
    notes.iter().for_each(|note| observer.note(note));
    if let Some(csv) = csv {
        csv.finish()?;
    }
    if let Some(path) = &options.summary {
        let text = serde_json::to_string_pretty(&summary)
            .map_err(|e| Error::Argument { op: "summary", what: e.to_string() })?;
        write_whole(path, format!("{text}\n").as_bytes())?;
    }
    Ok(summary)
}

/// The score that the run's manifest names; runs of before had one.
fn flagging_score(manifest: &Manifest) -> Score {
    serde_json::from_value(manifest.configuration["score"].clone()).unwrap_or(Kind::LogPx.plain())
}

fn warn_of_empty(query: &Query, inputs: &Inputs, observer: &mut dyn Observer) {
    let mut empty = inputs.empty.iter().enumerate().filter(|(_, e)| **e).map(|(row, _)| row);
    let Some(first) = empty.next() else { return };
    observer.warn(&format!(
        "{}: {} cells have no counts in the model's genes, the first is {}; they stay without label, \
         remove them with cytograd preprocess --min-genes 1",
        query.expression.place,
        empty.count() + 1,
        query.expression.cells[first]
    ));
}

/// `x` are the query's values; `query` has the names.
pub(super) fn inputs(
    x: &dyn RowBlocks,
    query: &Query,
    state: &State,
    features: &FeatureModel,
    min_overlap: f64,
    observer: &mut dyn Observer,
) -> Result<Inputs> {
    let n = x.n_rows();
    let known: Option<QueryAtHand> = serde_json::from_value(state.json["query"].clone()).ok();
    if let Some(known) = known
        && known.cells == n
        && known.checksum == query.expression.checksum_with(x)?
    {
        let x = state.tensor(QUERY, &[n, features.width()])?.to_vec();
        let mut empty = vec![false; n];
        known.empty.iter().filter(|&&row| row < n).for_each(|&row| empty[row] = true);
        observer
            .note("these cells were at hand during training: their features were prepared together with the reference");
        return Ok(Inputs { x, empty, correction: Correction::Joint, matched: features.genes.len(), genes: None });
    }
    let mut warnings = Vec::new();
    let projected = features.project_rows(x, query, min_overlap, &mut |w| warnings.push(w.to_owned()));
    warnings.iter().for_each(|w| observer.warn(w));
    let projected = projected?;
    projected.note.iter().for_each(|note| observer.note(note));
    let correction = match features.config.query {
        _ if projected.corrected => Correction::ReferenceMapping,
        QueryRole::Centred => Correction::Centring,
        _ => Correction::Uncorrected,
    };
    observer.note(&format!(
        "these cells were not at hand during training: projected with {} of {} genes (by {}), {}",
        projected.genes.matched,
        features.genes.len(),
        projected.genes.how,
        correction.name()
    ));
    Ok(Inputs {
        x: projected.x,
        empty: projected.empty,
        correction,
        matched: projected.genes.matched,
        genes: Some(projected.genes.report()),
    })
}

fn summary(
    options: &AnnotateOptions,
    folder: &RunFolder,
    inputs: &Inputs,
    cells: &Verdicts,
    calibration: &Calibration,
) -> AnnotateSummary {
    let mut labels: BTreeMap<String, usize> = BTreeMap::new();
    let n = cells.label.codes.len();
    (0..n).filter_map(|i| cells.label.get(i)).for_each(|label| *labels.entry(label.to_owned()).or_default() += 1);
    let given: Vec<f64> = cells.prob.iter().filter(|p| !p.is_nan()).map(|&p| f64::from(p)).collect();
    AnnotateSummary {
        output: options.output.clone(),
        model: folder.manifest().model.clone(),
        cells: n,
        labels,
        unknown: cells.ood.codes.iter().zip(&cells.label.codes).filter(|(o, l)| **o == 1 && **l >= 0).count(),
        not_annotated: cells.label.codes.iter().filter(|&&c| c < 0).count(),
        correction: inputs.correction,
        model_genes: folder.manifest().genes.len(),
        matched_genes: inputs.matched,
        genes: inputs.genes.clone(),
        fpr: options.fpr,
        score: calibration.score,
        threshold: Some(calibration.threshold).filter(|t| t.is_finite()),
        calibration_cells: calibration.cells(),
        mean_prob: given.iter().sum::<f64>() / given.len().max(1) as f64,
    }
}

/// `uns["cytograd"]`.
fn provenance(
    options: &AnnotateOptions,
    folder: &RunFolder,
    summary: &AnnotateSummary,
    layer: &str,
    device: &Device,
) -> Value {
    let manifest = folder.manifest();
    let count = |n: usize| Value::Int(n as i64);
    let mut genes =
        Value::dict().with("model", count(summary.model_genes)).with("matched", count(summary.matched_genes));
    if let Some(found) = &summary.genes {
        genes = genes.with("matched_by", found.matched_by.clone()).with("merged", count(found.merged));
    }
    let mut calibration = Value::dict()
        .with("method", "conformal p-value of a score against held-out reference cells")
        .with("score", summary.score.name())
        .with("reference_cells", count(summary.calibration_cells))
        .with("fpr", options.fpr);
    if let Some(threshold) = summary.threshold {
        calibration = calibration.with("threshold", threshold);
    }
    Value::dict()
        .with("version", env!("CARGO_PKG_VERSION"))
        .with("trained_by", manifest.program.clone())
        .with("model", manifest.model.clone())
        .with("model_sha256", folder.model_checksum().unwrap_or_default())
        .with("seed", Value::Int(manifest.seed as i64))
        .with("device", device.name())
        .with("math", options.math.clone())
        .with("input_layer", layer)
        .with("gene_overlap", genes)
        .with("calibration", calibration)
        .with("correction", summary.correction.name())
        .with("labels", manifest.labels.clone())
}
