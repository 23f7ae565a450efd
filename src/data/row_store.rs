//! Sparse rows that are read again in any order: in memory while they are few, else in a file
//! without a name.
//!
//! May use: `error`, [`Csr`], tempfile. What an algorithm keeps of a matrix that it cannot read again
//! and again from its file, such as the variable genes of all cells before PCA. The file is plain
//! (indices, then values, row after row), so a row is one read.
#![forbid(unsafe_code)]

use super::blocks::RowBlocks;
use super::csr::{Csr, CsrBuilder};
use crate::error::{Error, Result};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// What an entry takes: its column and its value.
const ENTRY: usize = 8;
/// Rows of one block of a pass.
const BLOCK: usize = 1024;

/// Rows that are appended, then read.
pub struct RowStore {
    n_cols: usize,
    /// Where each row begins, in entries.
    pointers: Vec<usize>,
    indices: Vec<u32>,
    values: Vec<f32>,
    most: usize,
    folder: PathBuf,
    file: Option<BufWriter<File>>,
    /// The first failed read, which [`RowStore::row`] cannot return.
    failed: Mutex<Option<std::io::Error>>,
}

impl RowStore {
    /// An empty store that keeps `bytes` in memory before it makes a file in `folder`.
    pub fn new(n_cols: usize, bytes: u64, folder: &Path) -> RowStore {
        RowStore {
            n_cols,
            pointers: vec![0],
            indices: Vec::new(),
            values: Vec::new(),
            most: usize::try_from(bytes).unwrap_or(usize::MAX) / ENTRY,
            folder: folder.to_owned(),
            file: None,
            failed: Mutex::new(None),
        }
    }

    fn io(&self, action: &'static str) -> impl Fn(std::io::Error) -> Error + use<> {
        let folder = self.folder.clone();
        move |e| Error::io(folder.clone(), action, e)
    }

    /// Appends rows.
    ///
    /// # Errors
    /// `Error::Shape` for rows of another width; `Error::Io` if the file cannot be written.
    pub fn push(&mut self, rows: &Csr) -> Result<()> {
        if rows.n_cols() != self.n_cols {
            let (expected, found) = (format!("{} columns", self.n_cols), rows.n_cols().to_string());
            return Err(Error::Shape { op: "keep rows", expected, found });
        }
        let before = self.pointers.last().copied().unwrap_or(0);
        self.pointers.extend(rows.indptr()[1..].iter().map(|p| before + p));
        if self.file.is_none() && self.indices.len() + rows.nnz() <= self.most {
            self.indices.extend_from_slice(rows.indices());
            self.values.extend_from_slice(rows.values());
            return Ok(());
        }
        let failed = self.io("writing");
        if self.file.is_none() {
            let mut file = BufWriter::with_capacity(1 << 20, tempfile::tempfile_in(&self.folder).map_err(&failed)?);
            let (indices, values) = (std::mem::take(&mut self.indices), std::mem::take(&mut self.values));
            let rows = self.pointers.len() - 1 - rows.n_rows();
            for row in 0..rows {
                let span = self.pointers[row]..self.pointers[row + 1];
                write_row(&mut file, &indices[span.clone()], &values[span]).map_err(&failed)?;
            }
            self.file = Some(file);
        }
        if let Some(file) = &mut self.file {
            for row in 0..rows.n_rows() {
                let (indices, values) = rows.row(row);
                write_row(file, indices, values).map_err(&failed)?;
            }
        }
        Ok(())
    }

    /// To be called when all rows are there.
    ///
    /// # Errors
    /// `Error::Io` if the file cannot be written.
    pub fn finish(&mut self) -> Result<()> {
        let failed = self.io("writing");
        self.file.as_mut().map_or(Ok(()), |file| file.flush().map_err(failed))
    }

    /// Whether a file was needed.
    pub fn on_disk(&self) -> bool {
        self.file.is_some()
    }

    /// Shows the columns and values of a row (`row < n_rows`). A row that cannot be read is empty:
    /// ask [`RowStore::check`] when all is done.
    pub fn row<T>(&self, row: usize, show: impl FnOnce(&[u32], &[f32]) -> T) -> T {
        let span = self.pointers[row]..self.pointers[row + 1];
        let Some(file) = &self.file else { return show(&self.indices[span.clone()], &self.values[span]) };
        let mut bytes = vec![0u32; 2 * span.len()];
        let read = file.get_ref().read_exact_at(bytemuck::cast_slice_mut(&mut bytes), (span.start * ENTRY) as u64);
        if let Err(error) = read {
            self.failed.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get_or_insert(error);
            return show(&[], &[]);
        }
        let (indices, values) = bytes.split_at(span.len());
        show(indices, bytemuck::cast_slice(values))
    }

    /// Fails if a row could not be read.
    ///
    /// # Errors
    /// `Error::Io` with the first failure.
    pub fn check(&self) -> Result<()> {
        let first = self.failed.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        first.map_or(Ok(()), |e| Err(self.io("reading")(e)))
    }
}

/// In the machine's own order: nobody else reads the file.
fn write_row(file: &mut impl Write, indices: &[u32], values: &[f32]) -> std::io::Result<()> {
    file.write_all(bytemuck::cast_slice(indices))?;
    file.write_all(bytemuck::cast_slice(values))
}

impl RowBlocks for RowStore {
    fn n_rows(&self) -> usize {
        self.pointers.len() - 1
    }

    fn n_cols(&self) -> usize {
        self.n_cols
    }

    fn pass(&self, work: &mut dyn FnMut(usize, &Csr) -> Result<()>) -> Result<()> {
        let n = self.n_rows();
        for first in (0..n).step_by(BLOCK) {
            let end = (first + BLOCK).min(n);
            let mut block = CsrBuilder::new(self.n_cols, self.pointers[end] - self.pointers[first]);
            for row in first..end {
                self.row(row, |indices, values| block.push_row(indices.iter().copied().zip(values.iter().copied())));
            }
            work(first, &block.finish())?;
        }
        self.check()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_the_same_from_memory_and_from_disk() {
        let values: Vec<f32> = (0..3000 * 5).map(|i| if i % 3 == 0 { i as f32 } else { 0.0 }).collect();
        let all = Csr::from_dense(3000, 5, &values).unwrap();
        let folder = tempfile::tempdir().unwrap();
        for bytes in [u64::MAX, 4000, 0] {
            let mut store = RowStore::new(5, bytes, folder.path());
            for first in (0..3000).step_by(700) {
                store.push(&all.select_rows(&(first..(first + 700).min(3000)).collect::<Vec<_>>())).unwrap();
            }
            store.finish().unwrap();
            assert_eq!(store.on_disk(), bytes != u64::MAX);
            let mut blocks = Vec::new();
            store
                .pass(&mut |_, block| {
                    blocks.push(block.clone());
                    Ok(())
                })
                .unwrap();
            assert_eq!(Csr::vstack(&blocks.iter().collect::<Vec<_>>()).unwrap(), all);
            store.row(2999, |columns, values| assert_eq!((columns, values), all.row(2999)));
            assert!(store.push(&Csr::zeros(1, 4)).is_err());
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "the file has no name");
    }
}
