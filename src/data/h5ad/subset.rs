//! Some cells of a file into a new file, element by element, in the types they have there.

use super::read::Reader;
use super::write::Writer;
use crate::data::hdf::{DAMAGED, Elements, Place, below, elements, encoding, is_group, members, text_attr};
use crate::error::Result;
use hdf5::types::{TypeDescriptor, VarLenUnicode};
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
        let enough = self.rows.last().is_none_or(|&last| shape.first().is_some_and(|&n| last < n));
        if !enough || square && shape.len() < 2 {
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
            Elements::Int => self.pick::<i64>(&source, to, name, &shape, inner, columns)?,
            Elements::Float32 => self.pick::<f32>(&source, to, name, &shape, inner, columns)?,
            Elements::Float64 => self.pick::<f64>(&source, to, name, &shape, inner, columns)?,
            Elements::Bool => self.pick::<bool>(&source, to, name, &shape, inner, columns)?,
            Elements::Text => self.pick::<VarLenUnicode>(&source, to, name, &shape, inner, columns)?,
            Elements::Other => return Err(self.unknown(&source.name())),
        }
        let target = to.dataset(name).map_err(|e| self.writer.failed(e))?;
        let kind = if elements(&source) == Elements::Text { "string-array" } else { "array" };
        self.writer.kind(&target, kind, "0.2.0")
    }

    fn pick<T: H5Type + Clone>(
        &self,
        source: &hdf5::Dataset,
        to: &Group,
        name: &str,
        shape: &[usize],
        inner: usize,
        columns: Option<&[usize]>,
    ) -> Result<()> {
        let values: Vec<T> = self.place.values(source)?;
        let mut picked = Vec::with_capacity(shape.iter().product());
        for &row in self.rows {
            let row = &values[row * inner..(row + 1) * inner];
            match columns {
                Some(columns) => picked.extend(columns.iter().map(|&c| row[c].clone())),
                None => picked.extend_from_slice(row),
            }
        }
        let kind = source.dtype().and_then(|d| d.to_descriptor()).map_err(|e| self.writer.failed(e))?;
        self.writer.numbers_as(to, name, shape, &picked, &kind).map(|_| ())
    }

    fn sparse(&self, source: &Group, to: &Group, name: &str, by_row: bool, square: bool) -> Result<()> {
        let data = self.place.dataset(source, "data")?;
        let indptr = self.place.dataset(source, "indptr")?;
        let indices = self.place.dataset(source, "indices")?;
        let shape = source.attr("shape").or_else(|_| source.attr("h5sparse_shape"));
        let shape = shape.and_then(|a| a.read_raw::<i64>()).map_err(|e| self.place.unreadable(&source.name(), e))?;
        let at_shape = |axis: usize| {
            let side = shape.get(axis).and_then(|&n| usize::try_from(n).ok()).filter(|&n| n <= u32::MAX as usize);
            side.ok_or_else(|| self.place.wrong(&source.name(), format!("a matrix of shape {shape:?}"), DAMAGED))
        };
        let plan = self.plan(
            &self.place.values::<i64>(&indptr)?,
            &self.place.values::<i64>(&indices)?,
            (at_shape(0)?, at_shape(1)?),
            by_row,
            square,
        );
        let Some((starts, order, at)) = plan else {
            return Err(self.place.wrong(&source.name(), "its index arrays contradict each other", "write it again"));
        };
        let target = to.create_group(name).map_err(|e| self.writer.failed(e))?;
        self.writer.kind(&target, if by_row { "csr_matrix" } else { "csc_matrix" }, "0.1.0")?;
        let n = self.rows.len() as i64;
        let new_shape = [n, if square { n } else { shape[1] }];
        let attr = target.new_attr::<i64>().shape([2]).create("shape").and_then(|a| a.write_raw(&new_shape));
        attr.map_err(|e| self.writer.failed(e))?;
        let kind = |d: &hdf5::Dataset| -> Result<TypeDescriptor> {
            d.dtype().and_then(|d| d.to_descriptor()).map_err(|e| self.writer.failed(e))
        };
        self.writer.numbers_as(&target, "indptr", &[starts.len()], &starts, &kind(&indptr)?)?;
        self.writer.numbers_as(&target, "indices", &[order.len()], &order, &kind(&indices)?)?;
        macro_rules! values {
            ($kind:ty) => {{
                let all: Vec<$kind> = self.place.values(&data)?;
                let picked: Vec<$kind> = at.iter().map(|&i| all[i]).collect();
                self.writer.numbers_as(&target, "data", &[picked.len()], &picked, &kind(&data)?)?;
            }};
        }
        match elements(&data) {
            Elements::Int => values!(i64),
            Elements::Float32 => values!(f32),
            Elements::Bool => values!(bool),
            Elements::Float64 => values!(f64),
            _ => return Err(self.unknown(&source.name())),
        }
        Ok(())
    }

    /// New `indptr`, new `indices`, and where in the old arrays each kept entry stands; `None` if
    /// the old arrays contradict each other.
    fn plan(
        &self,
        indptr: &[i64],
        indices: &[i64],
        (n_rows, n_cols): (usize, usize),
        by_row: bool,
        square: bool,
    ) -> Option<(Vec<i64>, Vec<i64>, Vec<usize>)> {
        let chosen = |n: usize| {
            let mut new_index = vec![-1i64; n];
            for (new, &old) in self.rows.iter().enumerate() {
                *new_index.get_mut(old)? = new as i64;
            }
            Some(new_index)
        };
        let every = |n: usize| (0..n as i64).collect::<Vec<i64>>();
        let rows = chosen(n_rows)?;
        let columns = if square { chosen(n_cols)? } else { every(n_cols) };
        let (major, minor) = if by_row { (rows, columns) } else { (columns, rows) };
        let (mut starts, mut order, mut at) = (vec![0i64], Vec::new(), Vec::new());
        for (line, _) in major.iter().enumerate().filter(|(_, new)| **new >= 0) {
            let span = usize::try_from(*indptr.get(line)?).ok()?..usize::try_from(*indptr.get(line + 1)?).ok()?;
            for position in span {
                let new = *minor.get(usize::try_from(*indices.get(position)?).ok()?)?;
                if new >= 0 {
                    order.push(new);
                    at.push(position);
                }
            }
            starts.push(order.len() as i64);
        }
        Some((starts, order, at))
    }
}
