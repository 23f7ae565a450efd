//! What a training run is asked for, and what it reports.

use super::method::Method;
use super::preparation::Preparation;
use super::profile::{Profile, Settings};
use crate::data::genes::MIN_OVERLAP;
use crate::data::select::Condition;
use crate::models::ebm::Select;
use serde::Serialize;
use serde_json::Value;
use std::path::PathBuf;

/// What to train on what.
#[derive(Clone, Debug)]
pub struct TrainOptions {
    /// Which model.
    pub model: Method,
    /// File with labels: h5ad, loom, or a table with a column of labels.
    pub reference: PathBuf,
    /// Column of obs with the labels.
    pub label_key: String,
    /// Column of obs with the batches, in the reference and, if it has one, in the query.
    pub batch_key: Option<String>,
    /// File to annotate later; its features, never its labels, take part in the preparation.
    pub query: Option<PathBuf>,
    /// Which cells of the reference file are the reference.
    pub filter: Vec<Condition>,
    /// Which cells of the query file are the query. If it is the same file and this is empty: all
    /// that `filter` does not choose.
    pub query_filter: Vec<Condition>,
    /// Labels left out of the reference.
    pub hold_out: Vec<String>,
    /// Layer to use in place of X, in both files.
    pub layer: Option<String>,
    /// List of new names for the labels.
    pub label_map: Option<PathBuf>,
    /// Share of the reference's genes that the query must have.
    pub min_gene_overlap: f64,
    /// Run folder to write.
    pub out: PathBuf,
    /// In place of the profile's number of epochs.
    pub epochs: Option<usize>,
    /// Chains that each follow one class, in a buffer with a segment per class.
    pub conditional: bool,
    /// Segments of equal size; else by training frequency.
    pub balanced: bool,
    /// How often a diverged run may go back and change course.
    pub restarts: usize,
    /// Seed of all random numbers.
    pub seed: u64,
    /// The mode of the device (`backend::Math::name`), for the record.
    pub math: String,
    /// Go on with the run in `out`.
    pub resume: bool,
    /// Replace the run in `out`.
    pub overwrite: bool,
    /// Which set of defaults.
    pub profile: Profile,
    /// How counts become components, in place of the profile's way.
    pub preparation: Option<Preparation>,
    /// In place of the profile's choice of the epoch to report.
    pub select: Option<Select>,
    /// In place of the profile as a whole.
    pub settings: Option<Settings>,
    /// Stop, as if interrupted, once so many iterations are done.
    pub stop_after: Option<u64>,
}

impl TrainOptions {
    /// Everything else at its default.
    pub fn new(
        model: impl Into<Method>,
        reference: impl Into<PathBuf>,
        label_key: &str,
        out: impl Into<PathBuf>,
    ) -> TrainOptions {
        TrainOptions {
            model: model.into(),
            reference: reference.into(),
            label_key: label_key.into(),
            batch_key: None,
            query: None,
            filter: Vec::new(),
            query_filter: Vec::new(),
            hold_out: Vec::new(),
            layer: None,
            label_map: None,
            min_gene_overlap: MIN_OVERLAP,
            out: out.into(),
            epochs: None,
            conditional: false,
            balanced: true,
            restarts: 0,
            seed: 0,
            math: "strict".into(),
            resume: false,
            overwrite: false,
            profile: Profile::Auto,
            preparation: None,
            select: None,
            settings: None,
            stop_after: None,
        }
    }
}

/// What a run reports.
#[derive(Clone, Debug, Serialize)]
pub struct TrainSummary {
    /// The run's folder.
    pub run: PathBuf,
    /// Name of the model.
    pub model: String,
    /// Names of the types.
    pub classes: Vec<String>,
    /// Cells trained on.
    pub train_cells: usize,
    /// Cells that epochs were compared on.
    pub valid_cells: usize,
    /// Cells kept for calibration.
    pub test_cells: usize,
    /// Cells of the query, if there was one.
    pub query_cells: Option<usize>,
    /// Features of a cell.
    pub features: usize,
    /// What the manifest keeps under `metrics`.
    pub metrics: Value,
}
