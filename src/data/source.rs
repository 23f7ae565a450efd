//! One way into every file: [`open`] looks at the content and gives a [`Source`].
//!
//! May use: `error`, the data types, the readers beside it. A source knows its names, tables and
//! matrices without having read a matrix; a matrix is read whole or by rows. What a reader decided
//! on its own (genes lie in the rows, antibodies were set apart) is in [`Source::notes`], for the
//! caller to say.
#![forbid(unsafe_code)]

use super::annotated::{Dataset, missing_layer};
use super::csr::Csr;
use super::format::{self, Format, Found};
use super::lines;
use super::matrix::Matrix;
use super::memory::Memory;
use super::overview::Extra;
use super::table::Table;
use super::{delimited, h5ad, loom, tenx};
use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::path::Path;

/// Which of a file's matrices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// The main one.
    X,
    /// Another one of the same cells and genes.
    Layer(String),
    /// `raw` of an h5ad file: genes of its own.
    Raw,
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Which::X => f.write_str("X"),
            Which::Layer(name) => write!(f, "layer \"{name}\""),
            Which::Raw => f.write_str("raw"),
        }
    }
}

/// What is known of a matrix before it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Which it is.
    pub which: Which,
    /// Cells.
    pub n_rows: usize,
    /// Genes.
    pub n_cols: usize,
    /// How it lies in the file: `csr`, `csc`, `dense`, `coordinates`, `text`.
    pub storage: &'static str,
    /// Its elements in numpy's words: `float32`, `int64`.
    pub dtype: String,
    /// Stored entries, where the file says so without being read.
    pub entries: Option<usize>,
}

/// What reading a matrix row by row takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowSizes {
    /// Any rows can be read, each of so many entries.
    Even(usize),
    /// Any rows can be read; row `i` has the entries from the i-th number to the next.
    Pointers(Vec<usize>),
    /// It has to be read as a whole.
    Whole {
        /// Stored entries.
        entries: usize,
        /// Because of this.
        why: &'static str,
    },
}

/// A file with cells and genes, opened.
pub trait Source: Send + Sync {
    /// What it is, in words: `h5ad`, `10x HDF5 v3`.
    fn format(&self) -> &str;
    /// The file's name, for messages.
    fn name(&self) -> &str;
    /// What the reader decided or left out, each in one line.
    fn notes(&self) -> &[String];
    /// What the file says of its cells.
    fn obs(&self) -> &Table;
    /// What the file says of the genes of a matrix.
    fn var(&self, which: &Which) -> &Table;
    /// All matrices of cells x genes, `X` first if there is one.
    fn matrices(&self) -> &[Stored];

    /// Some cells of a matrix, all genes.
    ///
    /// # Errors
    /// `Error::Data` if there is no such matrix, `Error::Format` if it cannot be read.
    fn rows(&self, which: &Which, rows: Range<usize>) -> Result<Matrix>;

    /// What reading some rows of a matrix takes.
    ///
    /// # Errors
    /// As [`Source::rows`].
    fn row_sizes(&self, which: &Which) -> Result<RowSizes>;

    /// A whole matrix.
    ///
    /// # Errors
    /// As [`Source::rows`].
    fn matrix(&self, which: &Which) -> Result<Matrix> {
        self.rows(which, 0..self.obs().n_rows())
    }

    /// Names of what is neither matrix nor table, by part (`obsm`, `uns`), with shapes.
    fn extras(&self) -> BTreeMap<String, Vec<Extra>>;

    /// All that the file holds beside its matrices: `x` (and that of `raw`) is all zero, layers are
    /// missing.
    ///
    /// # Errors
    /// As [`Source::rows`].
    fn frame(&self) -> Result<Dataset>;

    /// All that the file holds.
    ///
    /// # Errors
    /// As [`Source::rows`].
    fn dataset(&self) -> Result<Dataset> {
        let mut dataset = self.frame()?;
        dataset.x = self.matrix(&choose_main(self.matrices(), self.name())?)?;
        for stored in self.matrices() {
            match &stored.which {
                Which::X => {}
                Which::Layer(name) => dataset.layers.push((name.clone(), self.matrix(&stored.which)?)),
                Which::Raw => {
                    if let Some(raw) = &mut dataset.raw {
                        raw.x = self.matrix(&stored.which)?;
                    }
                }
            }
        }
        Ok(dataset)
    }
}

/// Opens the file or folder at `path` by its content, whatever its name.
///
/// # Errors
/// `Error::Io` if it is not there; `Error::Format` if it is none of the known formats, or damaged.
pub fn open(path: &Path) -> Result<Box<dyn Source>> {
    Ok(match format::find(path)? {
        Found::H5ad(file) => Box::new(h5ad::H5ad::of(path, file)?),
        Found::TenxHdf5(file) => Box::new(tenx::hdf5::of(path, file)?),
        Found::Loom(file) => Box::new(loom::Loom::of(path, file)?),
        Found::MatrixMarket => Box::new(tenx::matrix_market::open(path)?),
        Found::Delimited => Box::new(delimited::open(path)?),
    })
}

/// The same where a matrix that is text has to fit into `memory`: it is read as a whole.
///
/// # Errors
/// As [`open`]; `Error::Data` for a text that is too large.
pub fn open_within(path: &Path, memory: Memory) -> Result<Box<dyn Source>> {
    if matches!(format::detect(path)?, Format::MatrixMarket | Format::Delimited) {
        let place = path.file_name().map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into_owned());
        memory.require(
            lines::unpacked_size(path),
            &place,
            "a matrix that is text is read as a whole, which",
            "make an h5ad file of it on a machine with more memory: cytograd preprocess FILE -o OUT.h5ad",
        )?;
    }
    open(path)
}

/// The matrix that `--layer` names: `X` without a name, a layer, or `raw` where no layer has that
/// name.
///
/// # Errors
/// `Error::Data` or `Error::Format` that lists what there is.
pub fn choose(source: &dyn Source, layer: Option<&str>) -> Result<Which> {
    let has = |which: &Which| source.matrices().iter().any(|m| m.which == *which);
    let wanted = match layer {
        None => Which::X,
        Some("raw") if !has(&Which::Layer("raw".into())) => Which::Raw,
        Some(name) => Which::Layer(name.into()),
    };
    if has(&wanted) {
        return Ok(wanted);
    }
    let Some(name) = layer else { return choose_main(source.matrices(), source.name()) };
    let names = layer_names(source);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    Err(missing_layer(source.name(), name, &names))
}

/// What `--layer` may name.
pub fn layer_names(source: &dyn Source) -> Vec<String> {
    names(source.matrices())
}

fn names(matrices: &[Stored]) -> Vec<String> {
    let name = |m: &Stored| match &m.which {
        Which::X => None,
        Which::Layer(name) => Some(name.clone()),
        Which::Raw => Some("raw".to_owned()),
    };
    matrices.iter().filter_map(name).collect()
}

/// `X`.
///
/// # Errors
/// `Error::Data` that lists what there is instead.
fn choose_main(matrices: &[Stored], file: &str) -> Result<Which> {
    if matrices.iter().any(|m| m.which == Which::X) {
        return Ok(Which::X);
    }
    let names = names(matrices);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let fix = format!("choose another matrix with --layer: {}", super::table::list_names(&names));
    Err(Error::data(file, "no matrix X in the file", fix))
}

/// What a model needs: one matrix as `x`, with its cells and genes.
///
/// # Errors
/// As [`choose`] and [`Source::rows`].
pub fn read_matrix(source: &dyn Source, layer: Option<&str>) -> Result<Dataset> {
    let which = choose(source, layer)?;
    let x = source.matrix(&which)?;
    let mut dataset = Dataset::new(x, source.obs().clone(), source.var(&which).clone())?;
    dataset.source = source.name().into();
    Ok(dataset)
}

/// A source that was read into memory when it was opened: text formats.
pub(super) struct Loaded {
    pub(super) format: String,
    pub(super) dataset: Dataset,
    pub(super) notes: Vec<String>,
    pub(super) stored: Vec<Stored>,
}

impl Source for Loaded {
    fn format(&self) -> &str {
        &self.format
    }

    fn name(&self) -> &str {
        &self.dataset.source
    }

    fn notes(&self) -> &[String] {
        &self.notes
    }

    fn obs(&self) -> &Table {
        &self.dataset.obs
    }

    fn var(&self, _: &Which) -> &Table {
        &self.dataset.var
    }

    fn matrices(&self) -> &[Stored] {
        &self.stored
    }

    fn rows(&self, which: &Which, rows: Range<usize>) -> Result<Matrix> {
        if *which != Which::X {
            return Err(missing_layer(self.name(), &which.to_string(), &[]));
        }
        check_rows(self, &rows)?;
        if rows.len() == self.dataset.n_obs() {
            return Ok(self.dataset.x.clone());
        }
        Ok(self.dataset.x.select_rows(&rows.collect::<Vec<_>>()))
    }

    fn extras(&self) -> BTreeMap<String, Vec<Extra>> {
        let obsm = self.dataset.obsm.iter();
        let entries = obsm.map(|(name, entry)| Extra { name: name.clone(), shape: entry.shape().to_vec() });
        let uns = self.dataset.uns.iter().map(|(name, _)| Extra { name: name.clone(), shape: vec![] });
        let parts = [("obsm".to_owned(), entries.collect::<Vec<_>>()), ("uns".to_owned(), uns.collect())];
        parts.into_iter().filter(|(_, list)| !list.is_empty()).collect()
    }

    fn row_sizes(&self, _: &Which) -> Result<RowSizes> {
        // It is in memory already.
        let entries = self.dataset.x.nnz();
        Ok(RowSizes::Whole { entries, why: "this format has no rows that can be found" })
    }

    fn frame(&self) -> Result<Dataset> {
        let d = &self.dataset;
        let zeros = Matrix::Csr(Csr::zeros(d.n_obs(), d.n_vars()));
        Ok(Dataset {
            x: zeros,
            layers: Vec::new(),
            obs: d.obs.clone(),
            var: d.var.clone(),
            obsm: d.obsm.clone(),
            varm: d.varm.clone(),
            obsp: d.obsp.clone(),
            varp: d.varp.clone(),
            uns: d.uns.clone(),
            raw: None,
            skipped: d.skipped.clone(),
            source: d.source.clone(),
        })
    }

    fn dataset(&self) -> Result<Dataset> {
        Ok(self.dataset.clone())
    }
}

/// Fails if a source does not have these rows.
pub(super) fn check_rows(source: &dyn Source, rows: &Range<usize>) -> Result<()> {
    let n = source.obs().n_rows();
    if rows.start <= rows.end && rows.end <= n {
        return Ok(());
    }
    let what = format!("rows {} to {} of {n} cells", rows.start, rows.end);
    Err(Error::Argument { op: "read rows", what })
}
