//! The file as a [`Source`]: tables at once, matrices when they are asked for.

use super::legacy;
use super::read::Reader;
use crate::data::annotated::{Dataset, Raw, Value};
use crate::data::csr::Csr;
use crate::data::hdf::{Place, attribute, is_group, members};
use crate::data::matrix::Matrix;
use crate::data::overview::Extra;
use crate::data::source::{RowSizes, Source, Stored, Which, check_rows, choose};
use crate::data::table::{Table, list_names};
use crate::error::{Error, Result};
use hdf5::{File, Group};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Mutex;

/// An h5ad file, opened for reading.
pub struct H5ad {
    place: Place,
    file: File,
    name: String,
    obs: Table,
    var: Table,
    raw_var: Option<Table>,
    matrices: Vec<Stored>,
    notes: Vec<String>,
    skipped: Vec<String>,
    /// A matrix stored by columns, turned once for reading by rows.
    turned: Mutex<Option<(Which, Matrix)>>,
}

impl H5ad {
    /// Opens a file and reads its tables.
    ///
    /// # Errors
    /// `Error::Io` if there is no such file; `Error::Format` if it is not HDF5, truncated, without
    /// tables or without any matrix, compressed with a filter that is not built in, or inconsistent.
    pub fn open(path: &Path) -> Result<H5ad> {
        H5ad::of(path, Place::new(path).open()?)
    }

    /// The same of a file that is open already.
    pub(in crate::data) fn of(path: &Path, file: File) -> Result<H5ad> {
        let place = Place::new(path);
        if !file.link_exists("obs") || !file.link_exists("var") {
            let found = members(&file);
            return Err(Error::format(
                path,
                format!("no obs and var tables, so it is not an h5ad file (it holds {})", list_names(&found)),
                "give a file that anndata wrote",
            ));
        }
        let mut reader = Reader::new(&place);
        let mut obs = reader.table(&file, "obs")?;
        let mut var = reader.table(&file, "var")?;
        legacy::restore_categories(&mut reader, &file, &mut obs, &mut var)?;
        let mut opened = H5ad {
            name: place.name(),
            obs,
            var,
            raw_var: None,
            matrices: Vec::new(),
            notes: Vec::new(),
            skipped: Vec::new(),
            turned: Mutex::new(None),
            place,
            file,
        };
        opened.list(&mut reader)?;
        let parts = legacy::parts(&opened.file);
        if !parts.is_empty() {
            opened.notes.push(format!("written by an old anndata (before 0.8): {} converted", parts.join(", ")));
        }
        if !reader.skipped.is_empty() {
            opened.notes.push(format!("of an unknown kind, so not read: {}", reader.skipped.join(", ")));
        }
        opened.skipped = reader.skipped;
        Ok(opened)
    }

    /// Notes all matrices, checking their shapes.
    fn list(&mut self, reader: &mut Reader) -> Result<()> {
        let shape = (self.obs.n_rows(), self.var.n_rows());
        let mut add = |parent: &Group, name: &str, which: Which, shape: (usize, usize)| -> Result<()> {
            let stored = reader.stored(parent, name, which)?;
            reader.expect_shape(parent, name, (stored.n_rows, stored.n_cols), shape)?;
            self.matrices.push(stored);
            Ok(())
        };
        if self.file.link_exists("X") {
            add(&self.file, "X", Which::X, shape)?;
        }
        if let Ok(group) = self.file.group("layers") {
            for name in members(&group) {
                add(&group, &name, Which::Layer(name.clone()), shape)?;
            }
        }
        if let Some((group, x, var)) = legacy::raw_names(&self.file)
            && group.link_exists(x)
        {
            let table = reader.table(&group, var)?;
            let stored = reader.stored(&group, x, Which::Raw)?;
            reader.expect_shape(&group, x, (stored.n_rows, stored.n_cols), (shape.0, table.n_rows()))?;
            self.matrices.push(stored);
            self.raw_var = Some(table);
        }
        if self.matrices.is_empty() {
            return Err(Error::format(self.place.path(), "no matrix X in the file", "store the counts in X"));
        }
        Ok(())
    }

    /// The content of `uns`.
    ///
    /// # Errors
    /// `Error::Format` if it cannot be read.
    pub fn uns(&self) -> Result<Vec<(String, Value)>> {
        self.read_uns(&mut Reader::new(&self.place))
    }

    fn read_uns(&self, reader: &mut Reader) -> Result<Vec<(String, Value)>> {
        let Ok(group) = self.file.group("uns") else { return Ok(Vec::new()) };
        let Some(Value::Dict(mut entries)) = reader.dict(&group)? else { return Ok(Vec::new()) };
        let lists = legacy::category_lists(&self.file, &self.obs, &self.var);
        entries.retain(|(name, _)| !lists.contains(name));
        Ok(entries)
    }

    fn parent(&self, which: &Which) -> Result<(Group, String)> {
        if !self.matrices.iter().any(|m| m.which == *which) {
            choose(self, Some(&which.to_string()))?;
        }
        Ok(match which {
            Which::X => (self.file.as_group().map_err(|e| self.place.unreadable("/", e))?, "X".into()),
            Which::Layer(name) => (self.place.group(&self.file, "layers")?, name.clone()),
            Which::Raw => match legacy::raw_names(&self.file) {
                Some((group, x, _)) => (group, x.into()),
                None => return Err(self.place.wrong("/raw", "is not there", "leave --layer out to use X")),
            },
        })
    }
}

impl Source for H5ad {
    fn format(&self) -> &str {
        "h5ad"
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn notes(&self) -> &[String] {
        &self.notes
    }

    fn obs(&self) -> &Table {
        &self.obs
    }

    fn var(&self, which: &Which) -> &Table {
        match (which, &self.raw_var) {
            (Which::Raw, Some(table)) => table,
            _ => &self.var,
        }
    }

    fn matrices(&self) -> &[Stored] {
        &self.matrices
    }

    fn rows(&self, which: &Which, rows: Range<usize>) -> Result<Matrix> {
        check_rows(self, &rows)?;
        let (group, name) = self.parent(which)?;
        let reader = Reader::new(&self.place);
        let by_column = self.matrices.iter().any(|m| m.which == *which && m.storage == "csc");
        if rows.len() == self.obs.n_rows() || !by_column {
            return reader.matrix_rows(&group, &name, rows);
        }
        let mut turned = self.turned.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if turned.as_ref().is_none_or(|(kept, _)| kept != which) {
            *turned = Some((which.clone(), reader.matrix(&group, &name)?));
        }
        let rows: Vec<usize> = rows.collect();
        turned
            .as_ref()
            .map(|(_, matrix)| matrix.select_rows(&rows))
            .ok_or_else(|| Error::Argument { op: "read rows", what: "no matrix".into() })
    }

    fn extras(&self) -> BTreeMap<String, Vec<Extra>> {
        let mut found = BTreeMap::new();
        let lists = legacy::category_lists(&self.file, &self.obs, &self.var);
        for part in ["obsm", "varm", "obsp", "varp", "uns"] {
            if self.file.link_exists(part) && !is_group(&self.file, part) {
                let entries = legacy::entries(&self.place, &self.file, part).unwrap_or_default();
                let names = entries.into_iter().map(|(name, entry)| Extra { name, shape: entry.shape().to_vec() });
                found.insert(part.to_owned(), names.collect());
                continue;
            }
            let Ok(group) = self.file.group(part) else { continue };
            let extra = |name: String| {
                let dense = if is_group(&group, &name) { None } else { group.dataset(&name).ok().map(|d| d.shape()) };
                let sparse = || attribute(&*group.group(&name).ok()?, "shape").ok()?.read_raw::<u64>().ok();
                let shape = dense.unwrap_or_else(|| sparse().unwrap_or_default().iter().map(|&n| n as usize).collect());
                Extra { name, shape }
            };
            let list: Vec<Extra> =
                members(&group).into_iter().filter(|n| part != "uns" || !lists.contains(n)).map(extra).collect();
            if !list.is_empty() {
                found.insert(part.to_owned(), list);
            }
        }
        found
    }

    fn row_sizes(&self, which: &Which) -> Result<RowSizes> {
        let (group, name) = self.parent(which)?;
        let stored = self.matrices.iter().find(|m| m.which == *which);
        match stored.map(|m| (m.storage, m.n_cols, m.entries.unwrap_or(0))) {
            Some(("csr", ..)) => Reader::new(&self.place).row_pointers(&group, &name).map(RowSizes::Pointers),
            Some(("csc", _, entries)) => Ok(RowSizes::Whole { entries, why: "the matrix is stored by genes (CSC)" }),
            Some((_, n_cols, _)) => Ok(RowSizes::Even(n_cols)),
            None => Err(Error::Argument { op: "read rows", what: "no matrix".into() }),
        }
    }

    fn frame(&self) -> Result<Dataset> {
        let mut reader = Reader::new(&self.place);
        let zeros = |n: usize, m: usize| Matrix::Csr(Csr::zeros(n, m));
        let (n, m) = (self.obs.n_rows(), self.var.n_rows());
        let mut dataset = Dataset::new(zeros(n, m), self.obs.clone(), self.var.clone())?;
        dataset.source.clone_from(&self.name);
        let file = &self.file;
        dataset.obsm = reader.entries(file, "obsm", n)?;
        dataset.varm = reader.entries(file, "varm", m)?;
        dataset.obsp = reader.pairs(file, "obsp", n)?;
        dataset.varp = reader.pairs(file, "varp", m)?;
        dataset.uns = self.read_uns(&mut reader)?;
        if let (Some(var), Some((group, _, _))) = (&self.raw_var, legacy::raw_names(file)) {
            let varm = if group.name() == "/" { "raw.varm" } else { "varm" };
            let varm = reader.entries(&group, varm, var.n_rows())?;
            dataset.raw = Some(Raw { x: zeros(n, var.n_rows()), var: var.clone(), varm });
        }
        dataset.skipped.clone_from(&self.skipped);
        dataset.skipped.append(&mut reader.skipped);
        Ok(dataset)
    }
}
