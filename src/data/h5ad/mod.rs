//! The h5ad file: AnnData in HDF5, read as written by anndata 0.7 to today, written so that
//! anndata 0.10 and later open it without a warning.
//!
//! May use: `error`, the HDF5 library, the data types of this module. Format: the "on-disk
//! format" page of the anndata documentation; every element carries its kind in the attributes
//! `encoding-type` and `encoding-version`. Files: `node` (attributes, strings, filters, errors),
//! `read`, `write`, `update` (results added to a copy of a file).
//!
//! Values of matrices become f32. A file that only gains results is therefore never read and
//! written back: [`add_to_copy`] copies the bytes and adds to the copy.

mod legacy;
mod node;
mod read;
mod subset;
mod update;
mod write;

pub use read::{Listing, Notes, list, read, read_matrix, read_notes};
pub use update::{Additions, add_to_copy};
pub use write::write;
