//! Reading: each kind of element by its encoding, old encodings by their shape.

use super::node::{Elements, Place, below, bool_attr, elements, encoding, is_group, members, text_attr, texts_attr};
use crate::data::annotated::{Dataset, Entry, Raw, Value, missing_layer};
use crate::data::table::{CategoryKind, list_names};
use crate::data::{Categorical, Column, Csr, Dense, Matrix, Table};
use crate::error::{Error, Result};
use hdf5::{File, Group};
use std::path::Path;

/// Names of what a file holds, without its values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Listing {
    /// Whether there is an `X`.
    pub has_x: bool,
    /// Names of the layers.
    pub layers: Vec<String>,
    /// Names of the arrays per cell.
    pub obsm: Vec<String>,
    /// Names of the arrays per gene.
    pub varm: Vec<String>,
    /// Names of the matrices of cells by cells.
    pub obsp: Vec<String>,
    /// Names in `uns`.
    pub uns: Vec<String>,
    /// Whether there is a `raw`.
    pub has_raw: bool,
}

/// Names of the parts of the file at `path`.
///
/// # Errors
/// As [`read`], for a file that cannot be opened.
pub fn list(path: &Path) -> Result<Listing> {
    let file = Place::new(path).open()?;
    let names = |part: &str| file.group(part).map(|g| members(&g)).unwrap_or_default();
    Ok(Listing {
        has_x: file.link_exists("X"),
        layers: names("layers"),
        obsm: names("obsm"),
        varm: names("varm"),
        obsp: names("obsp"),
        uns: names("uns"),
        has_raw: file.link_exists("raw") || file.link_exists("raw.X"),
    })
}

/// Reads all of a file.
///
/// # Errors
/// `Error::Io` if there is no such file; `Error::Format` if it is not HDF5, truncated, without `X`,
/// compressed with a filter that is not built in, or inconsistent.
pub fn read(path: &Path) -> Result<Dataset> {
    let place = Place::new(path);
    let file = place.open()?;
    let mut dataset = matrix_and_names(&place, &file, None)?;
    let mut reader = Reader { place, skipped: Vec::new() };
    if let Ok(group) = file.group("layers") {
        for name in members(&group) {
            let layer = reader.matrix(&group, &name)?;
            reader.expect_shape(
                &group,
                &name,
                (layer.n_rows(), layer.n_cols()),
                (dataset.n_obs(), dataset.n_vars()),
            )?;
            dataset.layers.push((name, layer));
        }
    }
    dataset.obsm = reader.entries(&file, "obsm", dataset.n_obs())?;
    dataset.varm = reader.entries(&file, "varm", dataset.n_vars())?;
    dataset.obsp = reader.pairs(&file, "obsp", dataset.n_obs())?;
    dataset.varp = reader.pairs(&file, "varp", dataset.n_vars())?;
    if let Ok(group) = file.group("uns")
        && let Some(Value::Dict(entries)) = reader.dict(&group)?
    {
        dataset.uns = entries;
    }
    if let Ok(group) = file.group("raw")
        && group.link_exists("X")
    {
        let x = reader.matrix(&group, "X")?;
        let var = reader.table(&group, "var")?;
        let varm = reader.entries(&group, "varm", var.n_rows())?;
        reader.expect_shape(&group, "X", (x.n_rows(), x.n_cols()), (dataset.n_obs(), var.n_rows()))?;
        dataset.raw = Some(Raw { x, var, varm });
    }
    dataset.skipped.append(&mut reader.skipped);
    Ok(dataset)
}

/// What a file says about its cells, without their expression.
#[derive(Clone, Debug)]
pub struct Notes {
    /// The table of cells.
    pub obs: Table,
    /// Everything else that was written down.
    pub uns: Vec<(String, Value)>,
    /// The file's name.
    pub source: String,
}

/// Reads `obs` and `uns`, no matrix.
///
/// # Errors
/// As [`read`].
pub fn read_notes(path: &Path) -> Result<Notes> {
    let place = Place::new(path);
    let file = place.open()?;
    expect_tables(&place, &file)?;
    let source = place.name();
    let mut reader = Reader { place, skipped: Vec::new() };
    let obs = reader.table(&file, "obs")?;
    let uns = match file.group("uns") {
        Ok(group) => reader.dict(&group)?,
        Err(_) => None,
    };
    let uns = if let Some(Value::Dict(entries)) = uns { entries } else { Vec::new() };
    Ok(Notes { obs, uns, source })
}

/// Reads what a model needs: the matrix `X` (or `layer`, as `x` of the result), `obs` and `var`.
///
/// # Errors
/// As [`read`]; `Error::Data` that lists the layers if the one asked for is not there.
pub fn read_matrix(path: &Path, layer: Option<&str>) -> Result<Dataset> {
    let place = Place::new(path);
    let file = place.open()?;
    matrix_and_names(&place, &file, layer)
}

fn expect_tables(place: &Place, file: &File) -> Result<()> {
    if file.link_exists("obs") && file.link_exists("var") {
        return Ok(());
    }
    Err(Error::format(
        place.path(),
        format!("no obs and var tables, so it is not an h5ad file (it holds {})", list_names(&members(file))),
        "give a file that anndata wrote",
    ))
}

fn matrix_and_names(place: &Place, file: &File, layer: Option<&str>) -> Result<Dataset> {
    let layers = file.group("layers").map(|g| members(&g)).unwrap_or_default();
    let mut reader = Reader { place: place.clone(), skipped: Vec::new() };
    expect_tables(place, file)?;
    let x = match layer {
        Some(name) if !layers.iter().any(|l| l == name) => {
            let names: Vec<&str> = layers.iter().map(String::as_str).collect();
            return Err(missing_layer(&place.name(), name, &names));
        }
        Some(name) => reader.matrix(&place.group(file, "layers")?, name)?,
        None if !file.link_exists("X") => {
            let fix = if layers.is_empty() {
                "store the counts in X".to_owned()
            } else {
                format!("choose one of its layers with --layer: {}", list_names(&layers))
            };
            return Err(Error::format(place.path(), "no matrix X in the file", fix));
        }
        None => reader.matrix(file, "X")?,
    };
    let obs = reader.table(file, "obs")?;
    let var = reader.table(file, "var")?;
    reader.expect_shape(file, layer.unwrap_or("X"), (x.n_rows(), x.n_cols()), (obs.n_rows(), var.n_rows()))?;
    let mut dataset = Dataset::new(x, obs, var)?;
    dataset.skipped = reader.skipped;
    dataset.source = place.name();
    Ok(dataset)
}

pub(super) struct Reader {
    pub(super) place: Place,
    /// Paths of elements in an unknown encoding.
    pub(super) skipped: Vec<String>,
}

impl Reader {
    fn expect_shape(&self, parent: &Group, name: &str, found: (usize, usize), expected: (usize, usize)) -> Result<()> {
        if found == expected {
            return Ok(());
        }
        let what = format!("has {} x {} values, the tables say {} x {}", found.0, found.1, expected.0, expected.1);
        Err(self.place.wrong(&below(parent, name), what, "the file is inconsistent, write it again"))
    }

    /// A dense, CSR or CSC matrix.
    pub(super) fn matrix(&self, parent: &Group, name: &str) -> Result<Matrix> {
        if is_group(parent, name) {
            return Ok(Matrix::Csr(self.sparse(&self.place.group(parent, name)?)?));
        }
        let dataset = self.place.dataset(parent, name)?;
        let shape = dataset.shape();
        let (n_rows, n_cols) = match shape[..] {
            [n] => (n, 1),
            [n, m] => (n, m),
            _ => {
                let what = format!("expected a matrix, found an array of shape {shape:?}");
                return Err(self.place.wrong(&dataset.name(), what, "store it in uns instead"));
            }
        };
        if matches!(elements(&dataset), Elements::Text | Elements::Other) {
            return Err(self.place.wrong(&dataset.name(), "expected numbers", "store a numeric matrix there"));
        }
        Ok(Matrix::Dense(Dense::new(n_rows, n_cols, self.place.floats(&dataset)?)?))
    }

    fn sparse(&self, group: &Group) -> Result<Csr> {
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
        let shape = group.attr("shape").or_else(|_| group.attr("h5sparse_shape"));
        let shape = shape.and_then(|a| a.read_raw::<u64>()).map_err(|e| self.place.unreadable(&group.name(), e))?;
        let [n_rows, n_cols] = shape[..] else {
            return Err(self.place.wrong(&group.name(), "shape is not two numbers", "write the file again"));
        };
        let (n_rows, n_cols) = (n_rows as usize, n_cols as usize);
        let pointers = self.place.values::<i64>(&self.place.dataset(group, "indptr")?)?;
        let indices = self.place.values::<i64>(&self.place.dataset(group, "indices")?)?;
        let values = self.place.floats(&self.place.dataset(group, "data")?)?;
        let negative =
            |_| self.place.wrong(&group.name(), "an index is negative or beyond 32 bits", "write the file again");
        let indptr =
            pointers.into_iter().map(usize::try_from).collect::<std::result::Result<_, _>>().map_err(negative)?;
        let indices =
            indices.into_iter().map(u32::try_from).collect::<std::result::Result<_, _>>().map_err(negative)?;
        let place_error = |e: Error| match e {
            Error::Data { what, fix, .. } => self.place.wrong(&group.name(), what, &fix),
            other => other,
        };
        if by_column {
            let columns = Csr::from_unsorted(n_cols, n_rows, indptr, indices, values).map_err(place_error)?;
            return Ok(columns.transpose());
        }
        Csr::from_unsorted(n_rows, n_cols, indptr, indices, values).map_err(place_error)
    }

    /// A table: `obs`, `var`, or one inside `obsm` or `uns`.
    pub(super) fn table(&mut self, parent: &Group, name: &str) -> Result<Table> {
        if !is_group(parent, name) {
            return super::legacy::table(self, parent, name);
        }
        let group = self.place.group(parent, name)?;
        let index_name = text_attr(&group, "_index").unwrap_or_else(|| "_index".into());
        if !group.link_exists(&index_name) {
            let what = format!("the table has no index column \"{index_name}\"");
            return Err(self.place.wrong(&group.name(), what, "write the file again with a current anndata"));
        }
        let index = match self.column(&group, &index_name)? {
            Some(Column::Str(texts)) => texts,
            Some(column) => (0..column.len()).map(|row| column.text(row).unwrap_or_default()).collect(),
            None => {
                let what = "the index is stored in an unknown encoding";
                return Err(self.place.wrong(&below(&group, &index_name), what, "write it as strings"));
            }
        };
        let mut table = Table::new(index);
        let order = texts_attr(&group, "column-order").unwrap_or_else(|| {
            members(&group).into_iter().filter(|m| *m != index_name && m != "__categories").collect()
        });
        for column_name in order {
            if let Some(column) = self.column(&group, &column_name)? {
                if column.len() != table.n_rows() {
                    let what = format!("{} values for {} rows", column.len(), table.n_rows());
                    let node = below(&group, &column_name);
                    return Err(self.place.wrong(&node, what, "the file is inconsistent, write it again"));
                }
                table.columns.push((column_name, column));
            }
        }
        table.index_name = (index_name != "_index").then_some(index_name);
        Ok(table)
    }

    /// One column; `None` (and a note) if its encoding is not known.
    fn column(&mut self, group: &Group, name: &str) -> Result<Option<Column>> {
        if is_group(group, name) {
            return self.column_group(&self.place.group(group, name)?);
        }
        let dataset = self.place.dataset(group, name)?;
        // Up to anndata 0.7 the codes point to a list in the sub-group `__categories`.
        let old_list = group.group("__categories").ok().filter(|g| g.link_exists(name));
        if let Some(lists) = old_list
            && dataset.attr("categories").is_ok()
        {
            let list = self.place.dataset(&lists, name)?;
            let ordered = bool_attr(&list, "ordered");
            return self.categorical(&dataset, &list, ordered).map(Some);
        }
        Ok(match elements(&dataset) {
            Elements::Int => Some(Column::Int(self.place.values(&dataset)?)),
            Elements::Float32 => Some(Column::Float32(self.place.values(&dataset)?)),
            Elements::Float64 => Some(Column::Float(self.place.values(&dataset)?)),
            Elements::Bool => Some(Column::Bool(self.place.values(&dataset)?)),
            Elements::Text => Some(Column::Str(self.place.texts(&dataset)?)),
            Elements::Other => {
                self.skipped.push(dataset.name());
                None
            }
        })
    }

    fn column_group(&mut self, group: &Group) -> Result<Option<Column>> {
        let part = |name: &str| self.place.dataset(group, name);
        Ok(match encoding(group).as_str() {
            "categorical" => {
                if is_group(group, "categories") {
                    // Categories of pandas' own string type: values and a mask that is all false.
                    let texts = self.place.dataset(&self.place.group(group, "categories")?, "values")?;
                    return self.categorical(&part("codes")?, &texts, bool_attr(group, "ordered")).map(Some);
                }
                Some(self.categorical(&part("codes")?, &part("categories")?, bool_attr(group, "ordered"))?)
            }
            "nullable-integer" => Some(Column::NullableInt {
                values: self.place.values(&part("values")?)?,
                mask: self.place.values(&part("mask")?)?,
            }),
            "nullable-boolean" => Some(Column::NullableBool {
                values: self.place.values(&part("values")?)?,
                mask: self.place.values(&part("mask")?)?,
            }),
            "nullable-string-array" => Some(Column::NullableStr {
                values: {
                    let values = part("values")?;
                    self.place.texts(&values)?
                },
                mask: self.place.values(&part("mask")?)?,
            }),
            _ => {
                self.skipped.push(group.name());
                None
            }
        })
    }

    fn categorical(&self, codes: &hdf5::Dataset, list: &hdf5::Dataset, ordered: bool) -> Result<Column> {
        let (categories, kind): (Vec<String>, _) = match elements(list) {
            Elements::Text => (self.place.texts(list)?, CategoryKind::Str),
            Elements::Int => (self.place.values::<i64>(list)?.iter().map(i64::to_string).collect(), CategoryKind::Int),
            Elements::Float32 | Elements::Float64 => {
                (self.place.values::<f64>(list)?.iter().map(f64::to_string).collect(), CategoryKind::Float)
            }
            Elements::Bool => {
                let flags = self.place.values::<bool>(list)?;
                let names = flags.iter().map(|&b| if b { "True" } else { "False" }.to_owned());
                (names.collect(), CategoryKind::Bool)
            }
            Elements::Other => {
                return Err(self.place.wrong(&list.name(), "categories of an unknown kind", "store them as strings"));
            }
        };
        let codes: Vec<i32> = self.place.values(codes)?;
        if let Some(code) = codes.iter().find(|&&code| code < -1 || code >= categories.len() as i32) {
            let what = format!("code {code} with {} categories", categories.len());
            return Err(self.place.wrong(&list.name(), what, "the file is inconsistent, write it again"));
        }
        Ok(Column::Categorical(Categorical { codes, categories, ordered, kind }))
    }

    /// What is aligned to `rows` cells or genes.
    fn entries(&mut self, parent: &Group, part: &str, rows: usize) -> Result<Vec<(String, Entry)>> {
        let Ok(group) = parent.group(part) else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for name in members(&group) {
            let kind = group.group(&name).map(|g| encoding(&g)).unwrap_or_default();
            let entry = match kind.as_str() {
                "dataframe" => Entry::Table(self.table(&group, &name)?),
                "" | "csr_matrix" | "csc_matrix" => match self.matrix(&group, &name) {
                    Ok(matrix) => Entry::Matrix(matrix),
                    Err(Error::Format { .. }) => {
                        self.skipped.push(below(&group, &name)); // more than two axes, or text
                        continue;
                    }
                    Err(other) => return Err(other),
                },
                _ => {
                    self.skipped.push(below(&group, &name));
                    continue;
                }
            };
            let (n, m) = match &entry {
                Entry::Matrix(matrix) => (matrix.n_rows(), matrix.n_cols()),
                Entry::Table(table) => (table.n_rows(), table.columns.len()),
            };
            self.expect_shape(&group, &name, (n, m), (rows, m))?;
            found.push((name, entry));
        }
        Ok(found)
    }

    fn pairs(&mut self, parent: &Group, part: &str, n: usize) -> Result<Vec<(String, Matrix)>> {
        let Ok(group) = parent.group(part) else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for name in members(&group) {
            let matrix = self.matrix(&group, &name)?;
            self.expect_shape(&group, &name, (matrix.n_rows(), matrix.n_cols()), (n, n))?;
            found.push((name, matrix));
        }
        Ok(found)
    }

    fn dict(&mut self, group: &Group) -> Result<Option<Value>> {
        let mut entries = Vec::new();
        for name in members(group) {
            if let Some(value) = self.value(group, &name)? {
                entries.push((name, value));
            }
        }
        Ok(Some(Value::Dict(entries)))
    }

    /// One element of `uns`; `None` (and a note) if its encoding is not known.
    fn value(&mut self, parent: &Group, name: &str) -> Result<Option<Value>> {
        if is_group(parent, name) {
            let group = self.place.group(parent, name)?;
            return match encoding(&group).as_str() {
                "" | "dict" => self.dict(&group),
                "dataframe" => self.table(parent, name).map(|table| Some(Value::Table(table))),
                "csr_matrix" | "csc_matrix" => self.sparse(&group).map(|csr| Some(Value::Sparse(csr))),
                _ => Ok(self.column_group(&group)?.map(Value::Column)),
            };
        }
        let dataset = self.place.dataset(parent, name)?;
        let kind = elements(&dataset);
        if encoding(&dataset) == "null" || matches!(kind, Elements::Other) {
            self.skipped.push(dataset.name());
            return Ok(None);
        }
        let shape = dataset.shape();
        let scalar = shape.is_empty();
        Ok(Some(match kind {
            Elements::Text => {
                let mut data = self.place.texts(&dataset)?;
                if scalar { Value::Str(data.pop().unwrap_or_default()) } else { Value::Strs { shape, data } }
            }
            Elements::Int => {
                let data = self.place.values::<i64>(&dataset)?;
                if scalar { Value::Int(data[0]) } else { Value::Ints { shape, data } }
            }
            Elements::Bool => {
                let data = self.place.values::<bool>(&dataset)?;
                if scalar { Value::Bool(data[0]) } else { Value::Bools { shape, data } }
            }
            _ => {
                let data = self.place.values::<f64>(&dataset)?;
                if scalar { Value::Float(data[0]) } else { Value::Floats { shape, data } }
            }
        }))
    }
}
