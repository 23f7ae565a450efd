//! Files to sparse matrices and tables; knows no tensors.
//!
//! May use: `error`, `rng`, `math` (floor 0), rayon, the HDF5 library. The pieces, in the order in
//! which a run meets them: [`h5ad`] reads a [`Dataset`] of [`Csr`] matrices and [`Table`]s;
//! [`select`] chooses cells; [`check`] says what a matrix holds and what is wrong; [`labels`] turns
//! a column into classes; [`genes`] puts columns into a model's order; [`preprocess`] makes counts
//! into input; [`batches`] says which cells a step sees. [`simulate`] stands in for a file.
#![forbid(unsafe_code)]

pub mod annotated;
pub mod batches;
pub mod check;
pub mod csr;
pub mod genes;
pub mod h5ad;
pub mod labels;
pub mod matrix;
pub mod preprocess;
pub mod select;
pub mod simulate;
pub mod table;

pub use annotated::{Dataset, Entry, Raw, Value};
pub use csr::Csr;
pub use genes::GeneMatch;
pub use labels::Labels;
pub use matrix::{Dense, Matrix};
pub use table::{Categorical, Column, Table};
