//! Files to sparse matrices and tables; knows no tensors.
//!
//! May use: `error`, `rng`, `math`, `paths` (floor 0), rayon, the HDF5 library. The pieces, in the order in
//! which a run meets them: [`open`] looks at a file's content ([`mod@format`]) and gives a [`Source`] of
//! [`Csr`] matrices and [`Table`]s, whatever the format ([`h5ad`], [`tenx`], [`loom`],
//! [`delimited`]); [`select`] chooses cells; [`check`] says what a matrix holds and what is wrong,
//! [`names`] and [`columns`] what its names and columns look like, [`overview`] all of it; [`labels`]
//! turns a column into classes; [`splits`] sets cells apart; [`genes`] puts columns into a model's
//! order; [`preprocess`] makes counts into input; [`batches`] says which cells a step sees, from
//! memory or from disk ([`disk_batches`]); [`blocks`] reads a matrix piece by piece within a limit
//! ([`memory`]); [`results`] writes what was found. [`simulate`] stands in for a file.
#![deny(unsafe_code)]

pub mod annotated;
pub mod batches;
pub mod blocks;
pub mod check;
pub mod columns;
pub mod csr;
pub mod delimited;
pub mod disk_batches;
pub mod format;
pub mod genes;
pub mod h5ad;
mod hdf;
pub mod label_map;
pub mod labels;
mod lines;
pub mod loom;
pub mod matrix;
pub mod memory;
pub mod names;
pub mod overview;
pub mod preprocess;
pub mod results;
pub mod row_store;
pub mod select;
pub mod simulate;
pub mod source;
pub mod splits;
pub mod table;
pub mod tenx;

pub use annotated::{Dataset, Entry, Raw, Value};
pub use blocks::{Blocks, Chosen, Derived, RowBlocks};
pub use csr::Csr;
pub use genes::GeneMatch;
pub use hdf::version as hdf5_version;
pub use labels::Labels;
pub use matrix::{Dense, Matrix};
pub use memory::Memory;
pub use row_store::RowStore;
pub use source::{Source, Which, open};
pub use table::{Categorical, Column, Table};
