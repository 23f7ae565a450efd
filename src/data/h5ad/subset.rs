//! Some cells of a file into a new file, element by element, in the types they have there.

use super::growing::Appending;
use super::read::Reader;
use super::write::Writer;
use crate::data::hdf::{DAMAGED, Elements, Place, attribute, below, elements, encoding, is_group, members, text_attr};
use crate::error::Result;
use hdf5::{File, Group, H5Type};

/// Copies everything of `from` into `to`, reduced to the cells `rows` (ascending).
pub(super) fn copy_rows(place: &Place, from: &File, writer: &Writer, to: &File, rows: &[usize]) -> Result<()> {
    let copier = Copier { place, writer, rows };
    writer.kind(to, "anndata", "0.1.0")?;
    for name in members(from) {
        match name.as_str() {
            "X" => copier.element(from, to, "X", false)?,
            "obs" => copier.table(from, to, "obs")?,
            "layers" | "obsm" => copier.each(from, to, &name, false)?,
            "obsp" => copier.each(from, to, &name, true)?,
            "raw" if is_group(from, "raw") => copier.raw(from, to)?,
            _ => copier.whole(from, to, &name)?,
        }
    }
    Ok(())
}

struct Copier<'a> {
    place: &'a Place,
    writer: &'a Writer,
    rows: &'a [usize],
}

impl Copier<'_> {
    /// What does not depend on the cells.
    fn whole(&self, from: &Group, to: &Group, name: &str) -> Result<()> {
        let failed = |e| self.writer.failed(e);
        if is_group(from, name) {
            return from.group(name).and_then(|node| node.copy_to(to, name)).map_err(failed);
        }
        from.dataset(name).and_then(|node| node.copy_to(to, name)).map_err(failed)
    }

    fn each(&self, from: &Group, to: &Group, part: &str, square: bool) -> Result<()> {
        let (source, target) = (self.place.group(from, part)?, self.writer.dict(to, part)?);
        members(&source).iter().try_for_each(|name| self.element(&source, &target, name, square))
    }

    fn raw(&self, from: &Group, to: &Group) -> Result<()> {
        let source = self.place.group(from, "raw")?;
        let target = to.create_group("raw").map_err(|e| self.writer.failed(e))?;
        self.writer.kind(&target, "raw", "0.1.0")?;
        for name in members(&source) {
            if name == "X" {
                self.element(&source, &target, "X", false)?;
            } else {
                self.whole(&source, &target, &name)?;
            }
        }
        Ok(())
    }

    fn table(&self, from: &Group, to: &Group, name: &str) -> Result<()> {
        let mut reader = Reader::new(self.place);
        let table = reader.table(from, name)?;
        if let Some(node) = reader.skipped.first() {
            return Err(self.unknown(node));
        }
        self.writer.table(to, name, &table.select_rows(self.rows))
    }

    fn unknown(&self, node: &str) -> crate::error::Error {
        self.place.wrong(node, "its encoding is unknown, so cells cannot be chosen from it", "leave --where out")
    }

    /// An array, sparse matrix or table with cells along its first axis (`square`: both axes).
    fn element(&self, from: &Group, to: &Group, name: &str, square: bool) -> Result<()> {
        if !is_group(from, name) {
            return self.array(from, to, name, square);
        }
        let group = self.place.group(from, name)?;
        let kind = match encoding(&group) {
            old if old.is_empty() => text_attr(&group, "h5sparse_format").map_or(old, |f| format!("{f}_matrix")),
            kind => kind,
        };
        match kind.as_str() {
            "dataframe" => self.table(from, to, name),
            "csr_matrix" | "csc_matrix" => self.sparse(&group, to, name, kind == "csr_matrix", square),
            _ => Err(self.unknown(&below(from, name))),
        }
    }

    fn array(&self, from: &Group, to: &Group, name: &str, square: bool) -> Result<()> {
        let source = self.place.dataset(from, name)?;
        let mut shape = source.shape();
        let enough = shape.first().is_some_and(|&n| self.rows.last().is_none_or(|&last| last < n));
        if !enough || square && (shape.len() != 2 || shape[0] != shape[1]) {
            return Err(self.place.wrong(&source.name(), format!("an array of shape {shape:?}"), DAMAGED));
        }
        let n = self.rows.len();
        let columns = if square { Some(self.rows) } else { None };
        let inner: usize = shape[1..].iter().product();
        shape[0] = n;
        if square {
            shape[1] = n;
        }
        match elements(&source) {
            Elements::Int => self.numbers::<i64>(&source, to, name, &shape, inner, columns),
            Elements::Float32 => self.numbers::<f32>(&source, to, name, &shape, inner, columns),
            Elements::Float64 => self.numbers::<f64>(&source, to, name, &shape, inner, columns),
            Elements::Bool => self.numbers::<bool>(&source, to, name, &shape, inner, columns),
            Elements::Text => {
                let texts = self.chosen(&self.place.texts(&source)?, inner, columns);
                self.writer.text_array(to, name, &shape, &texts)
            }
            Elements::Other => Err(self.unknown(&source.name())),
        }
    }

    fn numbers<T: Element>(
        &self,
        source: &hdf5::Dataset,
        to: &Group,
        name: &str,
        shape: &[usize],
        inner: usize,
        columns: Option<&[usize]>,
    ) -> Result<()> {
        if columns.is_none() && shape.len() == 2 && source.size() > ENTRIES {
            self.pick_rows::<T>(source, to, name, shape)?;
        } else {
            let values: Vec<T> = self.place.values(source)?.into_iter().map(T::of).collect();
            let kind = source.dtype().and_then(|d| d.to_descriptor()).map_err(|e| self.writer.failed(e))?;
            self.writer.numbers_as(to, name, shape, &self.chosen(&values, inner, columns), &kind)?;
        }
        let target = to.dataset(name).map_err(|e| self.writer.failed(e))?;
        self.writer.kind(&target, "array", "0.2.0")
    }

    /// Of rows of `inner` values those that are asked for, all columns or some.
    fn chosen<T: Clone>(&self, values: &[T], inner: usize, columns: Option<&[usize]>) -> Vec<T> {
        let mut chosen = Vec::new();
        for &row in self.rows {
            let row = &values[row * inner..(row + 1) * inner];
            match columns {
                Some(columns) => chosen.extend(columns.iter().map(|&c| row[c].clone())),
                None => chosen.extend_from_slice(row),
            }
        }
        chosen
    }

    /// Rows of a large matrix, some at a time.
    fn pick_rows<T: Element>(&self, source: &hdf5::Dataset, to: &Group, name: &str, shape: &[usize]) -> Result<()> {
        self.place.check_size::<T::Stored>(source)?;
        let n_cols = shape[1];
        let kind = source.dtype().and_then(|d| d.to_descriptor()).map_err(|e| self.writer.failed(e))?;
        let target = self.writer.rows_of(to, name, shape, &kind)?;
        let at_once = (ENTRIES / n_cols.max(1)).max(1);
        let mut rest = self.rows;
        let mut written = 0;
        while let Some(&first) = rest.first() {
            let (now, later) = rest.split_at(rest.partition_point(|&row| row < first + at_once));
            let span = (first..now[now.len() - 1] + 1, 0..n_cols);
            let read = source.read_slice_2d::<T::Stored, _>(span);
            let read = read.map_err(|e| self.place.unreadable(&source.name(), e))?;
            for &row in now {
                let row: Vec<T> = read.row(row - first).iter().map(|&stored| T::of(stored)).collect();
                target.write_slice(&row, (written, 0..n_cols)).map_err(|e| self.writer.failed(e))?;
                written += 1;
            }
            rest = later;
        }
        Ok(())
    }

    fn sparse(&self, source: &Group, to: &Group, name: &str, by_row: bool, square: bool) -> Result<()> {
        let data = self.place.dataset(source, "data")?;
        let indptr = self.place.dataset(source, "indptr")?;
        let indices = self.place.dataset(source, "indices")?;
        let shape = attribute(source, "shape").or_else(|_| attribute(source, "h5sparse_shape"));
        let shape = shape.and_then(|a| a.read_raw::<i64>()).map_err(|e| self.place.unreadable(&source.name(), e))?;
        let at_shape = |axis: usize| {
            let side = shape.get(axis).and_then(|&n| usize::try_from(n).ok()).filter(|&n| n <= u32::MAX as usize);
            side.ok_or_else(|| self.place.wrong(&source.name(), format!("a matrix of shape {shape:?}"), DAMAGED))
        };
        let bounds = (at_shape(0)?, at_shape(1)?);
        let target = to.create_group(name).map_err(|e| self.writer.failed(e))?;
        self.writer.kind(&target, if by_row { "csr_matrix" } else { "csc_matrix" }, "0.1.0")?;
        let n = self.rows.len() as i64;
        let new_shape = [n, if square { n } else { shape[1] }];
        let attr = target.new_attr::<i64>().shape([2]).create("shape").and_then(|a| a.write_raw(&new_shape));
        attr.map_err(|e| self.writer.failed(e))?;
        let parts = Parts { source, target: &target, indptr, indices, data };
        match elements(&parts.data) {
            Elements::Int => self.lines::<i64>(&parts, bounds, by_row, square),
            Elements::Float32 => self.lines::<f32>(&parts, bounds, by_row, square),
            Elements::Bool => self.lines::<bool>(&parts, bounds, by_row, square),
            Elements::Float64 => self.lines::<f64>(&parts, bounds, by_row, square),
            _ => Err(self.unknown(&source.name())),
        }
    }

    /// Copies the chosen part of a sparse matrix, some lines (rows of CSR, columns of CSC) at a time.
    fn lines<T: Element>(
        &self,
        parts: &Parts,
        (n_rows, n_cols): (usize, usize),
        by_row: bool,
        square: bool,
    ) -> Result<()> {
        let wrong =
            || self.place.wrong(&parts.source.name(), "its index arrays contradict each other", "write it again");
        let kind = |d: &hdf5::Dataset| d.dtype().and_then(|d| d.to_descriptor()).map_err(|e| self.writer.failed(e));
        let pointers = self.place.pointers(&parts.indptr, 0..parts.indptr.size())?;
        // Along an axis of cells, the chosen ones; along one of genes, all.
        let (n_lines, n_across) = if by_row { (n_rows, n_cols) } else { (n_cols, n_rows) };
        let all: Vec<usize> = if by_row || square { Vec::new() } else { (0..n_lines).collect() };
        let lines: &[usize] = if by_row || square { self.rows } else { &all };
        let mut across: Vec<i64> = (0..n_across as i64).collect();
        if !by_row || square {
            across.fill(-1);
            for (new, &old) in self.rows.iter().enumerate() {
                *across.get_mut(old).ok_or_else(wrong)? = new as i64;
            }
        }
        if lines.last().is_some_and(|&line| line + 1 >= pointers.len()) {
            return Err(wrong());
        }
        let mut starts = vec![0i64];
        let mut indices = Appending::new("indices", kind(&parts.indices)?);
        let mut values = Appending::new("data", kind(&parts.data)?);
        let mut rest = lines;
        while let Some(&first) = rest.first() {
            let from = pointers[first];
            let most = rest.partition_point(|&line| pointers[line + 1] - from <= ENTRIES).max(1);
            let (now, later) = rest.split_at(most);
            let to = pointers[now[most - 1] + 1];
            if to > parts.indices.size() || to > parts.data.size() {
                return Err(wrong());
            }
            let found: Vec<i64> = self.place.span(&parts.indices, from..to)?;
            let stored: Vec<T::Stored> = self.place.span(&parts.data, from..to)?;
            let (mut new, mut kept) = (Vec::new(), Vec::new());
            for &line in now {
                for at in pointers[line] - from..pointers[line + 1] - from {
                    let place = usize::try_from(found[at]).ok().and_then(|i| across.get(i)).ok_or_else(wrong)?;
                    if *place >= 0 {
                        new.push(*place);
                        kept.push(T::of(stored[at]));
                    }
                }
                starts.push((indices.len() + new.len()) as i64);
            }
            indices.push(self.writer, parts.target, new)?;
            values.push(self.writer, parts.target, kept)?;
            rest = later;
        }
        self.writer.numbers_as(parts.target, "indptr", &[starts.len()], &starts, &kind(&parts.indptr)?)?;
        indices.finish(self.writer, parts.target)?;
        values.finish(self.writer, parts.target)
    }
}

/// Entries of a sparse matrix that are read at a time.
const ENTRIES: usize = 1 << 21;

/// What arrays are made of, and what the library may read them as: a `bool` must be 0 or 1, which
/// the numbers of a damaged file need not be.
trait Element: H5Type + Copy {
    type Stored: H5Type + Copy;
    fn of(stored: Self::Stored) -> Self;
}

macro_rules! as_it_is {
    ($($number:ty),*) => {
        $(impl Element for $number {
            type Stored = $number;
            fn of(stored: $number) -> $number {
                stored
            }
        })*
    };
}

as_it_is!(i64, f32, f64);

impl Element for bool {
    type Stored = i8;
    fn of(stored: i8) -> bool {
        stored != 0
    }
}

/// A sparse matrix to copy, and where to.
struct Parts<'a> {
    source: &'a Group,
    target: &'a Group,
    indptr: hdf5::Dataset,
    indices: hdf5::Dataset,
    data: hdf5::Dataset,
}
