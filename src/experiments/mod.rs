//! The papers' protocols as code that prints their tables.
//!
//! May use: `models`, `analysis`, `device`, `rng`. A protocol is a list of runs with names ([`ledger`]),
//! each of which gives a few figures, and a [`table`] over them:
//!
//! | file | what |
//! |---|---|
//! | [`annotation`] | models over seeds, one query: labels, calibration, unknown types (CLAMS, tables 2 and 5) |
//! | [`one_class`] | each type in turn left out (tables 3 and 6) |
//! | [`variants`] | what is compared: the models, the eight variants of the ablation |
//! | [`sweep`] | a search over hyper-parameters per clipping function (tables 4 and 7) |
//! | [`tpe`] | the search |
//!
//! Every run takes one thread and depends on its own seed alone, so a table is the same for any number
//! of threads. Results are written one by one; the same call goes on where an interrupted one stopped.
#![forbid(unsafe_code)]

pub mod annotation;
pub mod ledger;
pub mod one_class;
pub mod sweep;
pub mod table;
pub mod tpe;
pub mod variants;

use crate::device::Device;
use crate::models::annotator::{Change, TrainOptions};
use std::path::PathBuf;

/// What all protocols are told.
#[derive(Clone)]
pub struct Protocol {
    /// Data, profile and first seed; its model and run folder play no part.
    pub data: TrainOptions,
    /// Of the networks' settings.
    pub changes: Vec<Change>,
    /// Folder for the results.
    pub out: PathBuf,
    /// Replace another experiment's results there.
    pub overwrite: bool,
    /// Seeds, from `data.seed` on.
    pub seeds: u64,
    /// Runs at a time.
    pub threads: usize,
    /// Where they run.
    pub device: Device,
}
