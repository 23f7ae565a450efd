//! The main job: a labelled reference file to a trained run, a run and a query file to labels.
//!
//! May use: `data`, `analysis`, `models::ebm`, `models::baselines`, `models::run`, `device`. In the order in which a run
//! meets them: [`cells`] (what may be seen of a file), [`input`] (values made comparable, genes
//! matched), [`features`] (counts to network inputs, `scores` beside them), [`model`] (what is kept of
//! that), [`method`], [`profile`], [`preparation`] and `change` (what is trained, with which settings), `inputs` (what a training
//! run reads), [`mod@train`], `trained` (networks and baselines behind one face), [`score`] and
//! `familiarity` (how much a cell looks like the reference), `record` (what the run's folder holds), `opened` (a finished run, read back),
//! [`mod@annotate`], `verdicts` (what it says of every cell); [`mod@rehearse`] (which unseen types it
//! would catch); [`mod@generate`] (cells drawn from a model) and [`fidelity`] (how much they are like
//! real ones); [`study`] (many models learnt and judged in memory).
#![forbid(unsafe_code)]

pub mod annotate;
pub mod cells;
mod change;
mod familiarity;
pub mod features;
pub mod fidelity;
pub mod generate;
pub mod input;
mod inputs;
pub mod method;
pub mod model;
mod opened;
pub mod options;
pub mod preparation;
pub mod profile;
mod record;
pub mod rehearse;
pub mod score;
mod scores;
pub mod study;
pub mod train;
mod trained;
mod verdicts;

pub use annotate::{AnnotateOptions, AnnotateSummary, annotate};
pub use change::Change;
pub use features::{FeatureConfig, FeatureScale, Features, GeneScale};
pub use generate::{GenerateOptions, GenerateSummary, generate};
pub use method::Method;
pub use options::{TrainOptions, TrainSummary};
pub use preparation::Preparation;
pub use profile::{Profile, Settings};
pub use score::{Kind, Score};
pub use train::train;
