//! Every format that people have, through the one way in.
//!
//! With `CYTOGRAD_PYTHON` naming an interpreter that has anndata, files are written on the spot in
//! every encoding that it knows, and what we write is opened there with warnings as errors. Without
//! one those tests say that they skip; the others need nothing.

mod encodings;
mod files;
mod formats;
mod malformed;
mod traps;
mod write;
