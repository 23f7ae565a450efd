//! Writing: every element with the encoding that anndata 0.10 and later expect.

use crate::data::annotated::{Dataset, Entry, Raw, Value};
use crate::data::hdf::{Place, one_line};
use crate::data::table::CategoryKind;
use crate::data::{Categorical, Column, Csr, Matrix, Table};
use crate::error::{Error, Result};
use hdf5::types::{TypeDescriptor, VarLenUnicode};
use hdf5::{File, Group, H5Type, Location};
use std::path::{Path, PathBuf};
use tempfile::TempPath;

/// Arrays below this many elements are stored plainly.
pub(super) const COMPRESS_FROM: usize = 2048;
/// Elements per chunk of a compressed array.
pub(super) const CHUNK: usize = 1 << 16;
/// How hard gzip tries.
pub(super) const LEVEL: u8 = 4;

/// Writes a data set as a new file, whole or not at all.
///
/// # Errors
/// `Error::Io` if the folder cannot be written or the disk is full; what stood at `path` before is
/// then untouched.
pub fn write(path: &Path, dataset: &Dataset) -> Result<()> {
    let draft = Draft::new(path)?;
    let writer = draft.writer();
    let file = draft.create()?;
    writer.kind(&file, "anndata", "0.1.0")?;
    writer.matrix(&file, "X", &dataset.x)?;
    writer.matrices(&file, "layers", &dataset.layers)?;
    writer.annotations(&file, dataset)?;
    if let Some(raw) = &dataset.raw {
        let group = file.create_group("raw").map_err(|e| writer.failed(e))?;
        writer.kind(&group, "raw", "0.1.0")?;
        writer.matrix(&group, "X", &raw.x)?;
        writer.raw_tables(&group, raw)?;
    }
    draft.finish(file)
}

/// A file under a temporary name beside its target; removed unless it is finished.
pub(super) struct Draft {
    pub(super) temporary: TempPath,
    target: PathBuf,
}

impl Draft {
    pub(super) fn new(target: &Path) -> Result<Draft> {
        let folder = target.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let name = target.file_name().ok_or_else(|| {
            Error::usage(format!("{} is not a file name", target.display()), "give a path that ends in a file name")
        })?;
        if target.is_dir() {
            return Err(Error::usage(format!("{} is a folder", target.display()), "give the path of a file to write"));
        }
        let mut prefix = std::ffi::OsString::from(".");
        prefix.push(name);
        let temporary = tempfile::Builder::new()
            .prefix(&prefix)
            .suffix(".part")
            .permissions(permissions_for(target))
            .tempfile_in(folder)
            .map_err(|e| Error::io(target, "writing", e))?
            .into_temp_path();
        Ok(Draft { temporary, target: target.to_owned() })
    }

    pub(super) fn writer(&self) -> Writer {
        Writer { target: self.target.clone(), temporary: self.temporary.to_path_buf() }
    }

    /// An empty HDF5 file in its place.
    pub(super) fn create(&self) -> Result<File> {
        Place::create(&self.temporary).map_err(|e| self.writer().failed(e))
    }

    /// Closes the file, makes sure it is on disk, and gives it its name.
    pub(super) fn finish(self, file: File) -> Result<()> {
        let writer = self.writer();
        file.flush().and_then(|()| file.close()).map_err(|e| writer.failed(e))?;
        writer.check()?;
        let io = |e| Error::io(&self.target, "writing", e);
        std::fs::File::open(&self.temporary).and_then(|f| f.sync_all()).map_err(io)?;
        self.temporary.persist(&self.target).map_err(|e| Error::io(&self.target, "writing", e.error))
    }
}

/// Those of the file that is replaced, else what the process's umask allows.
fn permissions_for(target: &Path) -> std::fs::Permissions {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(target).map_or_else(|_| std::fs::Permissions::from_mode(0o666), |m| m.permissions())
}

pub(super) struct Writer {
    target: PathBuf,
    /// What the library calls the file.
    temporary: PathBuf,
}

impl Writer {
    /// Whether the file has taken all that the library wrote, which is not told otherwise.
    pub(super) fn check(&self) -> Result<()> {
        match Place::fault(&self.temporary) {
            Some(error) => Err(Error::io(&self.target, "writing", error)),
            None => Ok(()),
        }
    }

    pub(super) fn failed(&self, error: hdf5::Error) -> Error {
        let said = one_line(&error);
        let source = if said.contains("No space left") {
            std::io::Error::from_raw_os_error(28)
        } else {
            std::io::Error::other(said)
        };
        Error::io(&self.target, "writing", source)
    }

    /// Everything but `X`, layers and `raw`.
    pub(super) fn annotations(&self, file: &File, dataset: &Dataset) -> Result<()> {
        self.table(file, "obs", &dataset.obs)?;
        self.table(file, "var", &dataset.var)?;
        self.entries(file, "obsm", &dataset.obsm)?;
        self.entries(file, "varm", &dataset.varm)?;
        self.matrices(file, "obsp", &dataset.obsp)?;
        self.matrices(file, "varp", &dataset.varp)?;
        let uns = self.dict(file, "uns")?;
        dataset.uns.iter().try_for_each(|(name, value)| self.value(&uns, name, value))
    }

    /// `raw` but for its matrix.
    pub(super) fn raw_tables(&self, group: &Group, raw: &Raw) -> Result<()> {
        self.table(group, "var", &raw.var)?;
        self.entries(group, "varm", &raw.varm)
    }

    /// Sets `encoding-type` and `encoding-version`.
    pub(super) fn kind(&self, node: &Location, kind: &str, version: &str) -> Result<()> {
        self.text_attr(node, "encoding-type", kind)?;
        self.text_attr(node, "encoding-version", version)
    }

    pub(super) fn text_attr(&self, node: &Location, name: &str, text: &str) -> Result<()> {
        let value = self.text(name, text)?;
        let write = || {
            self.forget_attr(node, name)?;
            node.new_attr::<VarLenUnicode>().create(name)?.write_scalar(&value)
        };
        write().map_err(|e| self.failed(e))
    }

    pub(super) fn texts_attr<S: AsRef<str>>(&self, node: &Location, name: &str, texts: &[S]) -> Result<()> {
        let values = self.texts(name, texts)?;
        let write = || {
            self.forget_attr(node, name)?;
            node.new_attr::<VarLenUnicode>().shape([values.len()]).create(name)?.write_raw(&values)
        };
        write().map_err(|e| self.failed(e))
    }

    fn forget_attr(&self, node: &Location, name: &str) -> hdf5::Result<()> {
        if node.attr_names()?.iter().any(|n| n == name) { node.delete_attr(name) } else { Ok(()) }
    }

    /// A group of kind `dict`.
    pub(super) fn dict(&self, parent: &Group, name: &str) -> Result<Group> {
        let group = parent.create_group(name).map_err(|e| self.failed(e))?;
        self.kind(&group, "dict", "0.1.0")?;
        Ok(group)
    }

    /// An array of numbers or booleans.
    pub(super) fn array<T: H5Type>(&self, parent: &Group, name: &str, shape: &[usize], values: &[T]) -> Result<()> {
        let dataset = self.numbers(parent, name, shape, values)?;
        self.kind(&dataset, "array", "0.2.0")
    }

    /// The same without an encoding, as the parts of a sparse matrix are stored.
    pub(super) fn numbers<T: H5Type>(
        &self,
        parent: &Group,
        name: &str,
        shape: &[usize],
        values: &[T],
    ) -> Result<hdf5::Dataset> {
        self.numbers_as(parent, name, shape, values, &T::type_descriptor())
    }

    /// The same, stored in the type `kind`.
    pub(super) fn numbers_as<T: H5Type>(
        &self,
        parent: &Group,
        name: &str,
        shape: &[usize],
        values: &[T],
        kind: &TypeDescriptor,
    ) -> Result<hdf5::Dataset> {
        let write = || {
            let mut builder = parent.new_dataset_builder();
            if values.len() >= COMPRESS_FROM {
                let inner: usize = shape[1..].iter().product::<usize>().max(1);
                let mut chunk = shape.to_vec();
                chunk[0] = (CHUNK / inner).clamp(1, shape[0]);
                builder = builder.shuffle().deflate(LEVEL).chunk(chunk);
            }
            let dataset = builder.empty_as(kind).shape(shape.to_vec()).create(name)?;
            dataset.write_raw(values)?;
            Ok(dataset)
        };
        let dataset = write().map_err(|e| self.failed(e))?;
        self.check()?;
        Ok(dataset)
    }

    /// A matrix of the type `kind` to be written row by row.
    pub(super) fn rows_of(
        &self,
        parent: &Group,
        name: &str,
        shape: &[usize],
        kind: &TypeDescriptor,
    ) -> Result<hdf5::Dataset> {
        let inner: usize = shape[1..].iter().product::<usize>().max(1);
        let mut chunk = shape.to_vec();
        chunk[0] = (CHUNK / inner).clamp(1, shape[0].max(1));
        let builder = parent.new_dataset_builder().shuffle().deflate(LEVEL).chunk(chunk);
        builder.empty_as(kind).shape(shape.to_vec()).create(name).map_err(|e| self.failed(e))
    }

    pub(super) fn text_array<S: AsRef<str>>(
        &self,
        parent: &Group,
        name: &str,
        shape: &[usize],
        texts: &[S],
    ) -> Result<()> {
        let values = self.texts(name, texts)?;
        let write = || {
            let dataset = parent.new_dataset::<VarLenUnicode>().shape(shape.to_vec()).create(name)?;
            dataset.write_raw(&values)?;
            Ok(dataset)
        };
        let dataset = write().map_err(|e| self.failed(e))?;
        self.kind(&dataset, "string-array", "0.2.0")
    }

    fn scalar<T: H5Type>(&self, parent: &Group, name: &str, kind: &str, value: &T) -> Result<()> {
        let write = || {
            let dataset = parent.new_dataset::<T>().create(name)?;
            dataset.write_scalar(value)?;
            Ok(dataset)
        };
        let dataset = write().map_err(|e| self.failed(e))?;
        self.kind(&dataset, kind, "0.2.0")
    }

    pub(super) fn matrix(&self, parent: &Group, name: &str, matrix: &Matrix) -> Result<()> {
        match matrix {
            Matrix::Dense(m) => self.array(parent, name, &[m.n_rows(), m.n_cols()], m.values()),
            Matrix::Csr(m) => self.sparse(parent, name, m),
        }
    }

    fn sparse(&self, parent: &Group, name: &str, csr: &Csr) -> Result<()> {
        let group = parent.create_group(name).map_err(|e| self.failed(e))?;
        self.kind(&group, "csr_matrix", "0.1.0")?;
        let shape = [csr.n_rows() as i64, csr.n_cols() as i64];
        let attr = group.new_attr::<i64>().shape([2]).create("shape").and_then(|a| a.write_raw(&shape));
        attr.map_err(|e| self.failed(e))?;
        self.numbers(&group, "data", &[csr.nnz()], csr.values())?;
        // scipy keeps both index arrays in one type: 32 bits unless the matrix needs more.
        if csr.nnz() <= i32::MAX as usize && csr.n_cols() <= i32::MAX as usize {
            let indices: Vec<i32> = csr.indices().iter().map(|&c| c as i32).collect();
            let indptr: Vec<i32> = csr.indptr().iter().map(|&p| p as i32).collect();
            self.numbers(&group, "indices", &[indices.len()], &indices)?;
            self.numbers(&group, "indptr", &[indptr.len()], &indptr)?;
        } else {
            let indices: Vec<i64> = csr.indices().iter().map(|&c| i64::from(c)).collect();
            let indptr: Vec<i64> = csr.indptr().iter().map(|&p| p as i64).collect();
            self.numbers(&group, "indices", &[indices.len()], &indices)?;
            self.numbers(&group, "indptr", &[indptr.len()], &indptr)?;
        }
        Ok(())
    }

    fn matrices(&self, parent: &Group, name: &str, list: &[(String, Matrix)]) -> Result<()> {
        let group = self.dict(parent, name)?;
        list.iter().try_for_each(|(name, matrix)| self.matrix(&group, name, matrix))
    }

    fn entries(&self, parent: &Group, name: &str, list: &[(String, Entry)]) -> Result<()> {
        let group = self.dict(parent, name)?;
        list.iter().try_for_each(|(name, entry)| self.entry(&group, name, entry))
    }

    pub(super) fn entry(&self, parent: &Group, name: &str, entry: &Entry) -> Result<()> {
        match entry {
            Entry::Matrix(matrix) => self.matrix(parent, name, matrix),
            Entry::Table(table) => self.table(parent, name, table),
        }
    }

    pub(super) fn table(&self, parent: &Group, name: &str, table: &Table) -> Result<()> {
        let group = parent.create_group(name).map_err(|e| self.failed(e))?;
        self.kind(&group, "dataframe", "0.2.0")?;
        // An index named like a column would overwrite it.
        let own_name = table.index_name.as_deref().filter(|n| table.get(n).is_none());
        let index_name = own_name.unwrap_or("_index");
        self.text_attr(&group, "_index", index_name)?;
        self.texts_attr(&group, "column-order", &table.names())?;
        self.text_array(&group, index_name, &[table.n_rows()], &table.index)?;
        table.columns.iter().try_for_each(|(name, column)| self.column(&group, name, column))
    }

    pub(super) fn column(&self, parent: &Group, name: &str, column: &Column) -> Result<()> {
        let n = [column.len()];
        match column {
            Column::Categorical(c) => self.categorical(parent, name, c),
            Column::Str(v) => self.text_array(parent, name, &n, v),
            Column::Float(v) => self.array(parent, name, &n, v),
            Column::Float32(v) => self.array(parent, name, &n, v),
            Column::Int(v) => self.array(parent, name, &n, v),
            Column::Bool(v) => self.array(parent, name, &n, v),
            Column::NullableInt { values, mask } => {
                let group = self.masked(parent, name, "nullable-integer", mask)?;
                self.array(&group, "values", &n, values)
            }
            Column::NullableBool { values, mask } => {
                let group = self.masked(parent, name, "nullable-boolean", mask)?;
                self.array(&group, "values", &n, values)
            }
            Column::NullableStr { values, mask } => {
                let group = self.masked(parent, name, "nullable-string-array", mask)?;
                self.text_array(&group, "values", &n, values)
            }
        }
    }

    fn masked(&self, parent: &Group, name: &str, kind: &str, mask: &[bool]) -> Result<Group> {
        let group = parent.create_group(name).map_err(|e| self.failed(e))?;
        self.kind(&group, kind, "0.1.0")?;
        self.array(&group, "mask", &[mask.len()], mask)?;
        Ok(group)
    }

    fn categorical(&self, parent: &Group, name: &str, c: &Categorical) -> Result<()> {
        let group = parent.create_group(name).map_err(|e| self.failed(e))?;
        self.kind(&group, "categorical", "0.2.0")?;
        let attr = group.new_attr::<bool>().create("ordered").and_then(|a| a.write_scalar(&c.ordered));
        attr.map_err(|e| self.failed(e))?;
        // pandas keeps codes in the smallest type that fits.
        if c.categories.len() <= i8::MAX as usize {
            let codes: Vec<i8> = c.codes.iter().map(|&code| code as i8).collect();
            self.array(&group, "codes", &[codes.len()], &codes)?;
        } else if c.categories.len() <= i16::MAX as usize {
            let codes: Vec<i16> = c.codes.iter().map(|&code| code as i16).collect();
            self.array(&group, "codes", &[codes.len()], &codes)?;
        } else {
            self.array(&group, "codes", &[c.codes.len()], &c.codes)?;
        }
        let n = [c.categories.len()];
        let numbers: Option<Vec<f64>> = c.categories.iter().map(|text| text.parse().ok()).collect();
        let integers: Option<Vec<i64>> = c.categories.iter().map(|text| text.parse().ok()).collect();
        match (c.kind, integers, numbers) {
            (CategoryKind::Int, Some(values), _) => self.array(&group, "categories", &n, &values),
            (CategoryKind::Float, _, Some(values)) => self.array(&group, "categories", &n, &values),
            (CategoryKind::Bool, ..) => {
                let values: Vec<bool> = c.categories.iter().map(|text| text == "True").collect();
                self.array(&group, "categories", &n, &values)
            }
            _ => self.text_array(&group, "categories", &n, &c.categories),
        }
    }

    /// One element of `uns`.
    pub(super) fn value(&self, parent: &Group, name: &str, value: &Value) -> Result<()> {
        match value {
            Value::Dict(entries) => {
                let group = self.dict(parent, name)?;
                entries.iter().try_for_each(|(name, value)| self.value(&group, name, value))
            }
            Value::Str(text) => self.scalar(parent, name, "string", &self.text(name, text)?),
            Value::Int(v) => self.scalar(parent, name, "numeric-scalar", v),
            Value::Float(v) => self.scalar(parent, name, "numeric-scalar", v),
            Value::Bool(v) => self.scalar(parent, name, "numeric-scalar", v),
            Value::Strs { shape, data } => self.text_array(parent, name, shape, data),
            Value::Ints { shape, data } => self.array(parent, name, shape, data),
            Value::Floats { shape, data } => self.array(parent, name, shape, data),
            Value::Bools { shape, data } => self.array(parent, name, shape, data),
            Value::Sparse(csr) => self.sparse(parent, name, csr),
            Value::Table(table) => self.table(parent, name, table),
            Value::Column(column) => self.column(parent, name, column),
        }
    }

    fn text(&self, name: &str, text: &str) -> Result<VarLenUnicode> {
        text.parse().map_err(|_| {
            let place = format!("{}: {name}", self.target.display());
            Error::data(place, "a text holds a NUL character, which HDF5 cannot store", "remove it")
        })
    }

    fn texts<S: AsRef<str>>(&self, name: &str, texts: &[S]) -> Result<Vec<VarLenUnicode>> {
        texts.iter().map(|text| self.text(name, text.as_ref())).collect()
    }
}
