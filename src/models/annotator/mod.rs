//! The main job: a labelled reference file to a trained run, a run and a query file to labels.
//!
//! May use: `data`, `analysis`, `models::ebm`, `models::run`, `device`. In the order in which a run
//! meets them: [`cells`] (what may be seen of a file), [`input`] (values made comparable, genes
//! matched), [`features`] (counts to network inputs, `scores` beside them), [`model`] (what is kept of that), [`profile`]
//! (settings), `inputs` (what a training run reads), [`mod@train`], `record` (what its folder holds),
//! [`mod@annotate`].
#![forbid(unsafe_code)]

pub mod annotate;
pub mod cells;
pub mod features;
pub mod input;
mod inputs;
pub mod model;
pub mod options;
pub mod profile;
mod record;
mod scores;
pub mod train;

pub use annotate::{AnnotateOptions, AnnotateSummary, annotate};
pub use features::{FeatureConfig, FeatureScale, Features};
pub use options::{TrainOptions, TrainSummary};
pub use profile::{Profile, Settings};
pub use train::train;
