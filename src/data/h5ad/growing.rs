//! Arrays and matrices written piece by piece; chunks are packed on all threads.
//!
//! The library would pack one chunk after the other under its lock. Here a few chunks are shuffled
//! and deflated in parallel, and handed over as they are to lie in the file.
#![allow(unsafe_code)]

use super::write::{CHUNK, COMPRESS_FROM, LEVEL, Writer};
use crate::data::Csr;
use crate::error::{Error, Result};
use bytemuck::Pod;
use flate2::{Compress, Compression, FlushCompress, Status};
use hdf5::types::TypeDescriptor;
use hdf5::{Dataset, Group, H5Type};
use hdf5_sys::h5d::H5Dwrite_chunk;
use hdf5_sys::h5p::H5P_DEFAULT;
use rayon::prelude::*;

/// Chunks that are packed at once.
const AT_ONCE: usize = 16;

/// An array of numbers with one axis that grows at its end.
pub(super) struct Growing<T> {
    name: &'static str,
    dataset: Option<Dataset>,
    /// Elements in the file: whole chunks.
    written: usize,
    /// What is not there yet.
    waiting: Vec<T>,
}

impl<T: H5Type + Pod + Sync> Growing<T> {
    pub(super) fn new(name: &'static str) -> Growing<T> {
        Growing { name, dataset: None, written: 0, waiting: Vec::new() }
    }

    /// Appends values; whole chunks of them go to the file.
    pub(super) fn push(&mut self, writer: &Writer, parent: &Group, values: &[T]) -> Result<()> {
        let mut rest = values;
        while !rest.is_empty() {
            let room = (AT_ONCE * CHUNK - self.waiting.len()).min(rest.len());
            let (now, later) = rest.split_at(room);
            self.waiting.extend_from_slice(now);
            rest = later;
            if self.waiting.len() == AT_ONCE * CHUNK {
                self.flush(writer, parent)?;
            }
        }
        Ok(())
    }

    /// Writes all that is waiting; nothing may follow a chunk that is not full.
    fn flush(&mut self, writer: &Writer, parent: &Group) -> Result<()> {
        let failed = |e| writer.failed(e);
        let dataset = match &self.dataset {
            Some(dataset) => dataset,
            None => {
                let builder = parent.new_dataset::<T>().shuffle().deflate(LEVEL).chunk(CHUNK);
                self.dataset.insert(builder.shape(0..).create(self.name).map_err(failed)?)
            }
        };
        let packed: Vec<Vec<u8>> = self
            .waiting
            .par_chunks(CHUNK)
            .map(|chunk| pack(chunk))
            .collect::<Option<_>>()
            .ok_or(Error::Argument { op: "gzip", what: "a chunk could not be packed".into() })?;
        let end = self.written + self.waiting.len();
        dataset.resize(end).map_err(failed)?;
        for bytes in packed {
            write_chunk(dataset, self.written, &bytes).map_err(failed)?;
            self.written += CHUNK;
        }
        self.waiting.clear();
        writer.check()
    }

    /// Writes the rest; the number of elements.
    pub(super) fn finish(mut self, writer: &Writer, parent: &Group) -> Result<usize> {
        if self.dataset.is_none() && self.waiting.len() < COMPRESS_FROM {
            writer.numbers(parent, self.name, &[self.waiting.len()], &self.waiting)?;
            return Ok(self.waiting.len());
        }
        let len = self.written + self.waiting.len();
        if !self.waiting.is_empty() {
            self.flush(writer, parent)?;
        }
        Ok(len)
    }
}

/// Shuffles and deflates a chunk, filled up with zeros.
fn pack<T: Pod>(values: &[T]) -> Option<Vec<u8>> {
    let width = size_of::<T>();
    let mut planes = vec![0u8; CHUNK * width];
    for (i, value) in bytemuck::cast_slice::<T, u8>(values).chunks_exact(width).enumerate() {
        value.iter().enumerate().for_each(|(j, &byte)| planes[j * CHUNK + i] = byte);
    }
    // No input grows by more than this.
    let mut packed = vec![0u8; planes.len() + planes.len() / 100 + 1024];
    let mut deflate = Compress::new(Compression::new(u32::from(LEVEL)), true);
    let done = deflate.compress(&planes, &mut packed, FlushCompress::Finish);
    if !matches!(done, Ok(Status::StreamEnd)) {
        return None;
    }
    packed.truncate(deflate.total_out() as usize);
    Some(packed)
}

/// Puts a packed chunk into the file, as the chunk that begins at an element.
fn write_chunk(dataset: &Dataset, first: usize, bytes: &[u8]) -> hdf5::Result<()> {
    let offset = [first as u64];
    // SAFETY: the identifier is that of an open dataset with one axis, so one offset is read; `bytes`
    // is borrowed for the call, which reads as many bytes as it is told. The call is made under the
    // library's lock.
    let code = hdf5::sync::sync(|| unsafe {
        H5Dwrite_chunk(dataset.id(), H5P_DEFAULT, 0, offset.as_ptr(), bytes.len(), bytes.as_ptr().cast())
    });
    if code < 0 { Err("writing a chunk failed; the disk may be full (No space left)".into()) } else { Ok(()) }
}

/// A CSR matrix that grows row by row.
pub struct GrowingMatrix {
    writer: Writer,
    group: Group,
    n_cols: usize,
    pointers: Vec<i64>,
    indices: Growing<i32>,
    data: Growing<f32>,
}

/// An array of a given type in the file that grows at its end, packed by the library.
pub(super) struct Appending<T> {
    name: &'static str,
    kind: TypeDescriptor,
    dataset: Option<Dataset>,
    written: usize,
    waiting: Vec<T>,
}

impl<T: H5Type> Appending<T> {
    pub(super) fn new(name: &'static str, kind: TypeDescriptor) -> Appending<T> {
        Appending { name, kind, dataset: None, written: 0, waiting: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.written + self.waiting.len()
    }

    pub(super) fn push(&mut self, writer: &Writer, parent: &Group, mut values: Vec<T>) -> Result<()> {
        self.waiting.append(&mut values);
        if self.waiting.len() >= AT_ONCE * CHUNK { self.flush(writer, parent) } else { Ok(()) }
    }

    fn flush(&mut self, writer: &Writer, parent: &Group) -> Result<()> {
        let failed = |e| writer.failed(e);
        let end = self.len();
        let dataset = match &self.dataset {
            Some(dataset) => dataset,
            None => {
                let builder = parent.new_dataset_builder().shuffle().deflate(LEVEL).chunk(CHUNK);
                self.dataset.insert(builder.empty_as(&self.kind).shape(0..).create(self.name).map_err(failed)?)
            }
        };
        let written = dataset.resize(end).and_then(|()| dataset.write_slice(&self.waiting, self.written..end));
        written.map_err(failed)?;
        self.written = end;
        self.waiting.clear();
        writer.check()
    }

    pub(super) fn finish(mut self, writer: &Writer, parent: &Group) -> Result<()> {
        match self.dataset {
            None => writer.numbers_as(parent, self.name, &[self.waiting.len()], &self.waiting, &self.kind).map(|_| ()),
            Some(_) if self.waiting.is_empty() => Ok(()),
            Some(_) => self.flush(writer, parent),
        }
    }
}

/// A dense matrix that grows row by row.
pub struct GrowingDense {
    writer: Writer,
    dataset: Dataset,
    n_cols: usize,
    written: usize,
}

impl GrowingDense {
    pub(super) fn new(writer: Writer, parent: &Group, name: &str, n_cols: usize) -> Result<GrowingDense> {
        let rows = (CHUNK / n_cols.max(1)).max(1);
        let builder = parent.new_dataset::<f32>().shuffle().deflate(LEVEL).chunk((rows, n_cols.max(1)));
        let dataset = builder.shape((0.., n_cols)).create(name).map_err(|e| writer.failed(e))?;
        writer.kind(&dataset, "array", "0.2.0")?;
        Ok(GrowingDense { writer, dataset, n_cols, written: 0 })
    }

    /// Appends rows.
    ///
    /// # Errors
    /// `Error::Shape` for rows of another width; `Error::Io` if they cannot be written.
    pub fn push(&mut self, rows: &Csr) -> Result<()> {
        if rows.n_cols() != self.n_cols {
            let (expected, found) = (format!("{} columns", self.n_cols), rows.n_cols().to_string());
            return Err(Error::Shape { op: "write matrix", expected, found });
        }
        let end = self.written + rows.n_rows();
        self.dataset.resize((end, self.n_cols)).map_err(|e| self.writer.failed(e))?;
        let mut values = vec![0f32; self.n_cols];
        for row in 0..rows.n_rows() {
            values.fill(0.0);
            let (columns, stored) = rows.row(row);
            columns.iter().zip(stored).for_each(|(&column, &value)| values[column as usize] = value);
            let written = self.dataset.write_slice(&values, (self.written, 0..self.n_cols));
            written.map_err(|e| self.writer.failed(e))?;
            self.written += 1;
        }
        self.writer.check()
    }
}

impl GrowingMatrix {
    pub(super) fn new(writer: Writer, parent: &Group, name: &str, n_cols: usize) -> Result<GrowingMatrix> {
        if n_cols > i32::MAX as usize {
            return Err(Error::Argument { op: "write matrix", what: format!("{n_cols} columns") });
        }
        let group = parent.create_group(name).map_err(|e| writer.failed(e))?;
        writer.kind(&group, "csr_matrix", "0.1.0")?;
        let (indices, data) = (Growing::new("indices"), Growing::new("data"));
        Ok(GrowingMatrix { writer, group, n_cols, pointers: vec![0], indices, data })
    }

    /// Appends rows.
    ///
    /// # Errors
    /// `Error::Shape` for rows of another width; `Error::Io` if they cannot be written.
    pub fn push(&mut self, rows: &Csr) -> Result<()> {
        if rows.n_cols() != self.n_cols {
            let (expected, found) = (format!("{} columns", self.n_cols), rows.n_cols().to_string());
            return Err(Error::Shape { op: "write matrix", expected, found });
        }
        let before = self.pointers.last().copied().unwrap_or(0);
        self.pointers.extend(rows.indptr()[1..].iter().map(|&p| before + p as i64));
        let columns: Vec<i32> = rows.indices().iter().map(|&c| c as i32).collect();
        self.indices.push(&self.writer, &self.group, &columns)?;
        self.data.push(&self.writer, &self.group, rows.values())
    }

    /// Completes the matrix.
    ///
    /// # Errors
    /// `Error::Io` if it cannot be written.
    pub fn finish(self) -> Result<()> {
        let shape = [self.pointers.len() as i64 - 1, self.n_cols as i64];
        let attr = self.group.new_attr::<i64>().shape([2]).create("shape").and_then(|a| a.write_raw(&shape));
        attr.map_err(|e| self.writer.failed(e))?;
        self.indices.finish(&self.writer, &self.group)?;
        let entries = self.data.finish(&self.writer, &self.group)?;
        // scipy keeps pointers in 32 bits unless the matrix needs more.
        let n = [self.pointers.len()];
        if entries <= i32::MAX as usize {
            let narrow: Vec<i32> = self.pointers.iter().map(|&p| p as i32).collect();
            self.writer.numbers(&self.group, "indptr", &n, &narrow)?;
        } else {
            self.writer.numbers(&self.group, "indptr", &n, &self.pointers)?;
        }
        Ok(())
    }
}
