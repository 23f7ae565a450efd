//! Matrices of the file: dense, CSR or CSC, whole or some rows.

use super::read::Reader;
use crate::data::hdf::{DAMAGED, attribute, below, dtype_name, encoding, is_group, is_numeric, text_attr};
use crate::data::source::Stored;
use crate::data::{Csr, Dense, Matrix, source::Which};
use crate::error::{Error, Result};
use hdf5::Group;
use std::ops::Range;

/// The head of a sparse matrix.
#[derive(Clone, Copy)]
struct Head {
    by_column: bool,
    n_rows: usize,
    n_cols: usize,
}

impl Reader {
    /// Fails if a matrix has another shape than the tables beside it.
    pub(super) fn expect_shape(
        &self,
        parent: &Group,
        name: &str,
        found: (usize, usize),
        expected: (usize, usize),
    ) -> Result<()> {
        if found == expected {
            return Ok(());
        }
        let what = format!("has {} x {} values, the tables say {} x {}", found.0, found.1, expected.0, expected.1);
        Err(self.place.wrong(&below(parent, name), what, "the file is inconsistent, write it again"))
    }

    /// What is known of a matrix without reading it.
    pub(super) fn stored(&self, parent: &Group, name: &str, which: Which) -> Result<Stored> {
        if is_group(parent, name) {
            let group = self.place.group(parent, name)?;
            let head = self.head(&group)?;
            let data = self.place.dataset(&group, "data")?;
            return Ok(Stored {
                which,
                n_rows: head.n_rows,
                n_cols: head.n_cols,
                storage: if head.by_column { "csc" } else { "csr" },
                dtype: dtype_name(&data),
                entries: Some(data.size()),
            });
        }
        let dataset = self.place.dataset(parent, name)?;
        let (n_rows, n_cols) = self.dense_shape(&dataset)?;
        Ok(Stored { which, n_rows, n_cols, storage: "dense", dtype: dtype_name(&dataset), entries: None })
    }

    /// A dense, CSR or CSC matrix.
    pub(super) fn matrix(&self, parent: &Group, name: &str) -> Result<Matrix> {
        if is_group(parent, name) {
            return Ok(Matrix::Csr(self.sparse(&self.place.group(parent, name)?)?));
        }
        let dataset = self.place.dataset(parent, name)?;
        let (n_rows, n_cols) = self.dense_shape(&dataset)?;
        Ok(Matrix::Dense(Dense::new(n_rows, n_cols, self.place.floats(&dataset)?)?))
    }

    /// Some rows of a matrix. Compressed columns are read as a whole for it.
    pub(super) fn matrix_rows(&self, parent: &Group, name: &str, rows: Range<usize>) -> Result<Matrix> {
        if !is_group(parent, name) {
            let dataset = self.place.dataset(parent, name)?;
            let (n_rows, n_cols) = self.dense_shape(&dataset)?;
            if dataset.ndim() == 1 || rows == (0..n_rows) {
                let all = Dense::new(n_rows, n_cols, self.place.floats(&dataset)?)?;
                return Ok(Matrix::Dense(all.select_rows(&rows.collect::<Vec<_>>())));
            }
            let values = self.place.block(&dataset, rows.clone(), 0..n_cols)?;
            return Ok(Matrix::Dense(Dense::new(rows.len(), n_cols, values)?));
        }
        let group = self.place.group(parent, name)?;
        let head = self.head(&group)?;
        if head.by_column || rows == (0..head.n_rows) {
            let all = self.sparse(&group)?;
            return Ok(Matrix::Csr(all.select_rows(&rows.collect::<Vec<_>>())));
        }
        let pointers = self.place.pointers(&self.place.dataset(&group, "indptr")?, rows.start..rows.end + 1)?;
        let (from, to) = (pointers[0], pointers[rows.len()]);
        let indices = self.place.indices(&self.place.dataset(&group, "indices")?, from..to)?;
        let values = self.place.floats_in(&self.place.dataset(&group, "data")?, from..to)?;
        let pointers = pointers.iter().map(|p| p - from).collect();
        let csr = Csr::from_unsorted(rows.len(), head.n_cols, pointers, indices, values);
        csr.map(Matrix::Csr).map_err(|e| self.at(&group, e))
    }

    /// The row pointers of a CSR matrix.
    pub(super) fn row_pointers(&self, parent: &Group, name: &str) -> Result<Vec<usize>> {
        let group = self.place.group(parent, name)?;
        let pointers = self.place.dataset(&group, "indptr")?;
        self.place.pointers(&pointers, 0..pointers.size())
    }

    fn dense_shape(&self, dataset: &hdf5::Dataset) -> Result<(usize, usize)> {
        let shape = dataset.shape();
        if !is_numeric(dataset) {
            return Err(self.place.wrong(&dataset.name(), "expected numbers", "store a numeric matrix there"));
        }
        match shape[..] {
            [n] => Ok((n, 1)),
            [n, m] => Ok((n, m)),
            _ => {
                let what = format!("expected a matrix, found an array of shape {shape:?}");
                Err(self.place.wrong(&dataset.name(), what, "store it in uns instead"))
            }
        }
    }

    fn head(&self, group: &Group) -> Result<Head> {
        let mut format = encoding(group);
        if format.is_empty() {
            format = text_attr(group, "h5sparse_format").map(|f| format!("{f}_matrix")).unwrap_or_default();
        }
        let by_column = match format.as_str() {
            "csr_matrix" => false,
            "csc_matrix" => true,
            other => {
                let what = format!("expected a matrix, found encoding \"{other}\"");
                return Err(self.place.wrong(&group.name(), what, "store it dense, as CSR or as CSC"));
            }
        };
        let shape = attribute(group, "shape").or_else(|_| attribute(group, "h5sparse_shape"));
        let shape = shape.and_then(|a| a.read_raw::<u64>()).map_err(|e| self.place.unreadable(&group.name(), e))?;
        let [n_rows, n_cols] = shape[..] else {
            return Err(self.place.wrong(&group.name(), "shape is not two numbers", "write the file again"));
        };
        let (n_rows, n_cols) = (n_rows as usize, n_cols as usize);
        let (lines, across) = if by_column { (n_cols, n_rows) } else { (n_rows, n_cols) };
        let pointers = self.place.dataset(group, "indptr")?.size();
        if pointers.checked_sub(1) != Some(lines) || across > u32::MAX as usize {
            let what = format!("its shape is {n_rows} x {n_cols}, but it has {pointers} pointers");
            return Err(self.place.wrong(&group.name(), what, DAMAGED));
        }
        Ok(Head { by_column, n_rows, n_cols })
    }

    pub(super) fn sparse(&self, group: &Group) -> Result<Csr> {
        let head = self.head(group)?;
        let pointers = self.place.dataset(group, "indptr")?;
        let pointers = self.place.pointers(&pointers, 0..pointers.size())?;
        let indices = self.place.dataset(group, "indices")?;
        let indices = self.place.indices(&indices, 0..indices.size())?;
        let data = self.place.dataset(group, "data")?;
        if !is_numeric(&data) {
            return Err(self.place.wrong(&data.name(), "expected numbers", "store a numeric matrix there"));
        }
        let values = self.place.floats(&data)?;
        let (lines, across) = if head.by_column { (head.n_cols, head.n_rows) } else { (head.n_rows, head.n_cols) };
        let compressed = Csr::from_unsorted(lines, across, pointers, indices, values).map_err(|e| self.at(group, e))?;
        if !head.by_column {
            return Ok(compressed);
        }
        self.expect_memory(group, head.n_rows)?;
        Ok(compressed.transpose())
    }

    /// A matrix of compressed columns may declare any number of rows; a file that has cells or
    /// genes in such numbers is not that small.
    fn expect_memory(&self, group: &Group, lines: usize) -> Result<()> {
        let length = std::fs::metadata(self.place.path()).map_or(u64::MAX, |m| m.len());
        if lines as u64 <= length.saturating_mul(1100) {
            return Ok(());
        }
        Err(self.place.wrong(&group.name(), format!("declares {lines} rows"), DAMAGED))
    }

    /// An error about the arrays, with the place of the matrix.
    fn at(&self, group: &Group, error: Error) -> Error {
        match error {
            Error::Data { what, fix, .. } => self.place.wrong(&group.name(), what, &fix),
            other => other,
        }
    }
}
