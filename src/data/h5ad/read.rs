//! Reading: each kind of element by its encoding, old encodings by their shape.

use crate::data::annotated::{Entry, Value};
use crate::data::hdf::{
    DAMAGED, Elements, Place, below, bool_attr, elements, encoding, is_group, members, text_attr, texts_attr,
};
use crate::data::table::CategoryKind;
use crate::data::{Categorical, Column, Matrix, Table};
use crate::error::{Error, Result};
use hdf5::{Dataset, Group};

pub(super) struct Reader {
    pub(super) place: Place,
    /// Paths of elements in an unknown encoding.
    pub(super) skipped: Vec<String>,
    /// How deep in `uns` we are: a file can hold itself.
    depth: usize,
}

/// Dictionaries in dictionaries beyond this are not followed.
const DEEPEST: usize = 64;

impl Reader {
    pub(super) fn new(place: &Place) -> Reader {
        Reader { place: place.clone(), skipped: Vec::new(), depth: 0 }
    }

    /// A table: `obs`, `var`, or one inside `obsm` or `uns`.
    pub(super) fn table(&mut self, parent: &Group, name: &str) -> Result<Table> {
        if !is_group(parent, name) {
            return super::legacy::table(&self.place, parent, name);
        }
        let group = self.place.group(parent, name)?;
        let named = text_attr(&group, "_index");
        let plain = if group.link_exists("_index") { "_index" } else { "index" };
        let index_name = named.unwrap_or_else(|| plain.to_owned());
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
            Elements::Bool => Some(Column::Bool(self.place.flags(&dataset)?)),
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
            "nullable-integer" => {
                let (values, mask) = (self.place.values(&part("values")?)?, self.mask(group)?);
                Some(Column::NullableInt { values, mask })
            }
            "nullable-boolean" => {
                let (values, mask) = (self.place.flags(&part("values")?)?, self.mask(group)?);
                Some(Column::NullableBool { values, mask })
            }
            "nullable-string-array" => {
                let (values, mask) = (self.place.texts(&part("values")?)?, self.mask(group)?);
                Some(Column::NullableStr { values, mask })
            }
            _ => {
                self.skipped.push(group.name());
                None
            }
        })
    }

    /// The mask of a nullable column, as long as its values.
    fn mask(&self, group: &Group) -> Result<Vec<bool>> {
        let mask = self.place.dataset(group, "mask")?;
        let (n, expected) = (mask.shape(), self.place.dataset(group, "values")?.shape());
        if n != expected || n.len() != 1 {
            return Err(self.place.wrong(&mask.name(), format!("has shape {n:?}, its values {expected:?}"), DAMAGED));
        }
        self.place.flags(&mask)
    }

    fn categorical(&self, codes: &Dataset, list: &Dataset, ordered: bool) -> Result<Column> {
        let (categories, kind): (Vec<String>, _) = match elements(list) {
            Elements::Text => (self.place.texts(list)?, CategoryKind::Str),
            Elements::Int => (self.place.values::<i64>(list)?.iter().map(i64::to_string).collect(), CategoryKind::Int),
            Elements::Float32 | Elements::Float64 => {
                (self.place.values::<f64>(list)?.iter().map(f64::to_string).collect(), CategoryKind::Float)
            }
            Elements::Bool => {
                let flags = self.place.flags(list)?;
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
    pub(super) fn entries(&mut self, parent: &Group, part: &str, rows: usize) -> Result<Vec<(String, Entry)>> {
        if !parent.link_exists(part) {
            return Ok(Vec::new());
        }
        if !is_group(parent, part) {
            return super::legacy::entries(&self.place, parent, part);
        }
        let group = self.place.group(parent, part)?;
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
            let [n, m] = entry.shape();
            self.expect_shape(&group, &name, (n, m), (rows, m))?;
            found.push((name, entry));
        }
        Ok(found)
    }

    pub(super) fn pairs(&mut self, parent: &Group, part: &str, n: usize) -> Result<Vec<(String, Matrix)>> {
        let Ok(group) = parent.group(part) else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for name in members(&group) {
            let matrix = self.matrix(&group, &name)?;
            self.expect_shape(&group, &name, (matrix.n_rows(), matrix.n_cols()), (n, n))?;
            found.push((name, matrix));
        }
        Ok(found)
    }

    pub(super) fn dict(&mut self, group: &Group) -> Result<Option<Value>> {
        if self.depth == DEEPEST {
            self.skipped.push(group.name());
            return Ok(None);
        }
        self.depth += 1;
        let mut entries = Vec::new();
        for name in members(group) {
            if let Some(value) = self.value(group, &name)? {
                entries.push((name, value));
            }
        }
        self.depth -= 1;
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
        Ok(match kind {
            Elements::Text if scalar => self.place.texts(&dataset)?.pop().map(Value::Str),
            Elements::Text => Some(Value::Strs { shape, data: self.place.texts(&dataset)? }),
            Elements::Int if scalar => self.place.values::<i64>(&dataset)?.pop().map(Value::Int),
            Elements::Int => Some(Value::Ints { shape, data: self.place.values(&dataset)? }),
            Elements::Bool if scalar => self.place.flags(&dataset)?.pop().map(Value::Bool),
            Elements::Bool => Some(Value::Bools { shape, data: self.place.flags(&dataset)? }),
            _ if scalar => self.place.values::<f64>(&dataset)?.pop().map(Value::Float),
            _ => Some(Value::Floats { shape, data: self.place.values(&dataset)? }),
        })
    }
}
