//! A file whose matrices are written in blocks of rows: none is ever in memory as a whole.

use super::growing::{GrowingDense, GrowingMatrix};
use super::write::{Draft, Writer};
use crate::data::Dataset;
use crate::data::source::Which;
use crate::error::{Error, Result};
use hdf5::{File, Group};
use std::path::Path;

/// A new file under a temporary name; it gets its own when it is [finished](Stepwise::finish), and
/// is removed if it never is.
pub struct Stepwise {
    draft: Draft,
    writer: Writer,
    file: File,
    layers: Group,
    raw: Option<Group>,
}

impl Stepwise {
    /// Starts a file that will be at `path`.
    ///
    /// # Errors
    /// `Error::Usage` for a path that names no file; `Error::Io` if its folder cannot be written.
    pub fn new(path: &Path) -> Result<Stepwise> {
        let draft = Draft::new(path)?;
        let writer = draft.writer();
        let file = draft.create()?;
        writer.kind(&file, "anndata", "0.1.0")?;
        let layers = writer.dict(&file, "layers")?;
        Ok(Stepwise { draft, writer, file, layers, raw: None })
    }

    /// Starts one of the matrices, each once.
    ///
    /// # Errors
    /// `Error::Io` if it cannot be written.
    pub fn matrix(&mut self, which: &Which, n_cols: usize) -> Result<GrowingMatrix> {
        let writer = self.draft.writer();
        match which {
            Which::X => GrowingMatrix::new(writer, &self.file, "X", n_cols),
            Which::Layer(name) => GrowingMatrix::new(writer, &self.layers, name, n_cols),
            Which::Raw => {
                let group = self.file.create_group("raw").map_err(|e| writer.failed(e))?;
                writer.kind(&group, "raw", "0.1.0")?;
                GrowingMatrix::new(writer, self.raw.insert(group), "X", n_cols)
            }
        }
    }

    /// Starts a matrix that is stored dense.
    ///
    /// # Errors
    /// `Error::Io` if it cannot be written; `Error::Argument` for `raw`.
    pub fn dense(&mut self, which: &Which, n_cols: usize) -> Result<GrowingDense> {
        let writer = self.draft.writer();
        match which {
            Which::X => GrowingDense::new(writer, &self.file, "X", n_cols),
            Which::Layer(name) => GrowingDense::new(writer, &self.layers, name, n_cols),
            Which::Raw => Err(Error::Argument { op: "write matrix", what: "raw is written sparse".into() }),
        }
    }

    /// Writes everything beside the matrices and gives the file its name. Of `frame`, `x` and layers
    /// are left out, and `raw` unless its matrix was written.
    ///
    /// # Errors
    /// As [`super::write()`].
    pub fn finish(self, frame: &Dataset) -> Result<()> {
        let Stepwise { draft, writer, file, layers, raw } = self;
        writer.annotations(&file, frame)?;
        if let (Some(group), Some(content)) = (&raw, &frame.raw) {
            writer.raw_tables(group, content)?;
        }
        drop((layers, raw));
        draft.finish(file)
    }
}
