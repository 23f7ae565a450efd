//! A file's embedding to a plane beside it.
//!
//! May use: `data`, `tsne`, `metrics`, `error`.
#![forbid(unsafe_code)]

use super::metrics::Faithfulness;
use super::tsne::{EXACT, TsneConfig, tsne};
use crate::data::h5ad::{Additions, H5ad};
use crate::data::source::Source;
use crate::data::table::list_names;
use crate::data::{Dense, Entry, Matrix, results};
use crate::error::{Error, Result};
use std::path::PathBuf;

/// Entries of obsm that are taken if none is named, the first that is there.
const BASES: [&str; 3] = ["X_cytograd", "X_pca_harmony", "X_pca"];
/// Name of the result in obsm.
const NAME: &str = "X_tsne";
/// Neighbours by which the plane is judged.
const NEAREST: usize = 15;

/// What to lay out.
#[derive(Clone, Debug)]
pub struct EmbedOptions {
    /// h5ad file with an embedding in obsm.
    pub input: PathBuf,
    /// h5ad file to write; may be the input itself.
    pub output: PathBuf,
    /// Name of the embedding; `None`: the first of those usual here.
    pub basis: Option<String>,
    /// Settings.
    pub tsne: TsneConfig,
}

/// What was made.
#[derive(Clone, Debug, PartialEq)]
pub struct Embedded {
    /// Name of the embedding that was laid out.
    pub basis: String,
    /// Its width.
    pub width: usize,
    /// Name of the plane in obsm.
    pub name: &'static str,
    /// Cells on the plane.
    pub cells: usize,
    /// Cells whose embedding is not finite; they have NaN.
    pub left_out: usize,
    /// Divergence of the plane from the data, nats.
    pub kl: f64,
    /// How well neighbourhoods are kept, up to [`EXACT`] cells.
    pub faithfulness: Option<Faithfulness>,
    /// What was changed in the file, each in a line.
    pub notes: Vec<String>,
}

/// Lays the cells of a file out on a plane and writes a copy of the file with obsm `X_tsne`.
///
/// # Errors
/// `Error::Data` that lists obsm if there is no such embedding; as [`H5ad::open`], [`tsne`] and
/// [`results::write`].
pub fn embed(options: &EmbedOptions, step: &mut dyn FnMut(usize) -> Result<()>) -> Result<Embedded> {
    let frame = H5ad::open(&options.input)?.frame()?;
    let found = |name: &str| frame.obsm.iter().find(|(n, _)| n == name);
    let chosen = match &options.basis {
        Some(name) => found(name),
        None => BASES.into_iter().find_map(found),
    };
    let Some((basis, Entry::Matrix(matrix))) = chosen else {
        let names: Vec<&str> = frame.obsm.iter().map(|(name, _)| name.as_str()).collect();
        let what = match &options.basis {
            Some(name) => format!("no matrix \"{name}\""),
            None => format!("none of {}", list_names(&BASES)),
        };
        let fix = if names.is_empty() {
            "make one with `cytograd annotate` or `cytograd preprocess`".to_owned()
        } else {
            format!("name one of {} by --basis", list_names(&names))
        };
        return Err(Error::data(format!("{}: obsm", frame.source), what, fix));
    };
    let (values, width) = (matrix.to_dense(), matrix.n_cols());
    let rows: Vec<usize> =
        (0..matrix.n_rows()).filter(|i| values[i * width..(i + 1) * width].iter().all(|v| v.is_finite())).collect();
    let x: Vec<f64> =
        rows.iter().flat_map(|i| values[i * width..(i + 1) * width].iter().map(|&v| f64::from(v))).collect();
    let plane = tsne(&x, width, &options.tsne, step)?;
    let judged = rows.len() <= EXACT && rows.len() > 2 * NEAREST;
    let faithfulness = judged.then(|| Faithfulness::new(&x, width, &plane.y, 2, NEAREST)).transpose()?;
    let mut places = vec![f32::NAN; 2 * matrix.n_rows()];
    for (k, row) in rows.iter().enumerate() {
        places[2 * row] = plane.y[2 * k] as f32;
        places[2 * row + 1] = plane.y[2 * k + 1] as f32;
    }
    let entry = Entry::Matrix(Matrix::Dense(Dense::new(matrix.n_rows(), 2, places)?));
    let additions = Additions { obsm: vec![(NAME.into(), entry)], ..Additions::default() };
    let notes = results::write(&options.input, &options.output, &additions, None)?;
    Ok(Embedded {
        basis: basis.clone(),
        width,
        name: NAME,
        cells: rows.len(),
        left_out: matrix.n_rows() - rows.len(),
        kl: plane.kl,
        faithfulness,
        notes,
    })
}
