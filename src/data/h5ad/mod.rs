//! The h5ad file: AnnData in HDF5, read as written by anndata 0.6 to today, written so that
//! anndata 0.10 and later open it without a warning.
//!
//! May use: `error`, the HDF5 library, the data types of this module. Format: the "on-disk
//! format" page of the anndata documentation; every element carries its kind in the attributes
//! `encoding-type` and `encoding-version`. Files: `source` (the opened file), `read` (tables and
//! the rest), `matrix`, `legacy` and `records` (files of old), `write`, `stepwise` and `growing` (matrices in blocks of rows), `update` (results added to a
//! copy of a file), `subset` (of some cells of it), `modernise` (old encodings of the copy renewed).
//!
//! Values of matrices become f32. A file that only gains results is therefore never read and
//! written back: [`add_to_copy`] copies the bytes and adds to the copy.

mod growing;
mod legacy;
mod matrix;
mod modernise;
mod read;
mod records;
mod source;
mod stepwise;
mod subset;
mod update;
mod write;

pub use growing::{GrowingDense, GrowingMatrix};
pub use source::H5ad;
pub use stepwise::Stepwise;
pub use update::{Additions, add_to_copy};
pub use write::write;

use super::annotated::{Dataset, Value};
use super::source::{Source, read_matrix as read_from};
use super::table::Table;
use crate::error::Result;
use std::path::Path;

/// Reads all of a file.
///
/// # Errors
/// As [`H5ad::open`]; `Error::Data` without `X`.
pub fn read(path: &Path) -> Result<Dataset> {
    H5ad::open(path)?.dataset()
}

/// Reads what a model needs: the matrix `X` (or `layer`, as `x` of the result), `obs` and `var`.
///
/// # Errors
/// As [`read`]; `Error::Data` that lists the layers if the one asked for is not there.
pub fn read_matrix(path: &Path, layer: Option<&str>) -> Result<Dataset> {
    read_from(&H5ad::open(path)?, layer)
}

/// What a file says about its cells, without their expression.
#[derive(Clone, Debug)]
pub struct Notes {
    /// The table of cells.
    pub obs: Table,
    /// Everything else that was written down.
    pub uns: Vec<(String, Value)>,
    /// The file's name.
    pub source: String,
}

/// Reads `obs` and `uns`, no matrix.
///
/// # Errors
/// As [`H5ad::open`].
pub fn read_notes(path: &Path) -> Result<Notes> {
    let file = H5ad::open(path)?;
    Ok(Notes { obs: file.obs().clone(), uns: file.uns()?, source: file.name().into() })
}
