//! Tables of named rows: what anndata calls `obs` and `var`.
//!
//! May use: `error`. Column kinds are those that an h5ad file can hold, so that a table read and
//! written again says the same.
#![forbid(unsafe_code)]

use crate::error::{Error, Result};
use std::collections::HashMap;

/// What the categories of a [`Categorical`] were before they became text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CategoryKind {
    /// Texts.
    Str,
    /// Integers, written as text here.
    Int,
    /// Numbers, written as text here.
    Float,
    /// `True` and `False`.
    Bool,
}

/// Values out of a short list.
#[derive(Clone, Debug, PartialEq)]
pub struct Categorical {
    /// Index into `categories` per row; -1 is missing.
    pub codes: Vec<i32>,
    /// The list, as text.
    pub categories: Vec<String>,
    /// Whether the order of categories means something.
    pub ordered: bool,
    /// What `categories` are in the file.
    pub kind: CategoryKind,
}

impl Categorical {
    /// From one text per row; categories are sorted, as pandas does.
    pub fn from_strings<S: AsRef<str>>(values: &[S]) -> Categorical {
        let mut categories: Vec<String> = values.iter().map(|v| v.as_ref().to_owned()).collect();
        categories.sort_unstable();
        categories.dedup();
        Categorical::with_categories(values, categories)
    }

    /// From one text per row and the list of categories; a text not in the list is missing.
    pub fn with_categories<S: AsRef<str>>(values: &[S], categories: Vec<String>) -> Categorical {
        let code: HashMap<&str, i32> = categories.iter().enumerate().map(|(i, c)| (c.as_str(), i as i32)).collect();
        let codes = values.iter().map(|v| code.get(v.as_ref()).copied().unwrap_or(-1)).collect();
        Categorical { codes, categories, ordered: false, kind: CategoryKind::Str }
    }

    /// The text of a row, `None` where it is missing.
    pub fn get(&self, row: usize) -> Option<&str> {
        usize::try_from(self.codes[row]).ok().map(|code| self.categories[code].as_str())
    }
}

/// One column. In the nullable kinds `mask[row]` is true where the value is missing.
#[derive(Clone, Debug, PartialEq)]
// Each variant's own line tells of its fields.
#[allow(missing_docs)]
pub enum Column {
    /// A text of few for each row.
    Categorical(Categorical),
    /// Texts.
    Str(Vec<String>),
    /// Numbers.
    Float(Vec<f64>),
    /// Numbers stored in 32 bits.
    Float32(Vec<f32>),
    /// Integers.
    Int(Vec<i64>),
    /// Truth values.
    Bool(Vec<bool>),
    /// Integers, missing where the mask is true.
    NullableInt { values: Vec<i64>, mask: Vec<bool> },
    /// Truth values, missing where the mask is true.
    NullableBool { values: Vec<bool>, mask: Vec<bool> },
    /// Texts, missing where the mask is true.
    NullableStr { values: Vec<String>, mask: Vec<bool> },
}

impl Column {
    /// Number of rows.
    pub fn len(&self) -> usize {
        match self {
            Column::Categorical(c) => c.codes.len(),
            Column::Str(v) => v.len(),
            Column::Float(v) => v.len(),
            Column::Float32(v) => v.len(),
            Column::Int(v) => v.len(),
            Column::Bool(v) => v.len(),
            Column::NullableInt { values, .. } => values.len(),
            Column::NullableBool { values, .. } => values.len(),
            Column::NullableStr { values, .. } => values.len(),
        }
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What kind it is, in words for a listing.
    pub fn kind(&self) -> &'static str {
        match self {
            Column::Categorical(_) => "categorical",
            Column::Str(_) => "string",
            Column::Float(_) => "float64",
            Column::Float32(_) => "float32",
            Column::Int(_) => "integer",
            Column::Bool(_) => "boolean",
            Column::NullableInt { .. } => "nullable integer",
            Column::NullableBool { .. } => "nullable boolean",
            Column::NullableStr { .. } => "nullable string",
        }
    }

    /// The value of a row as text; `None` where it is missing (code -1, masked, NaN, and the empty
    /// string and `nan` that text columns use for it).
    pub fn text(&self, row: usize) -> Option<String> {
        let present = |mask: &[bool]| !mask[row];
        match self {
            Column::Categorical(c) => c.get(row).filter(|text| is_present(text)).map(str::to_owned),
            Column::Str(v) => Some(&v[row]).filter(|text| is_present(text)).cloned(),
            Column::Float(v) => (!v[row].is_nan()).then(|| v[row].to_string()),
            Column::Float32(v) => (!v[row].is_nan()).then(|| v[row].to_string()),
            Column::Int(v) => Some(v[row].to_string()),
            Column::Bool(v) => Some(bool_text(v[row])),
            Column::NullableInt { values, mask } => present(mask).then(|| values[row].to_string()),
            Column::NullableBool { values, mask } => present(mask).then(|| bool_text(values[row])),
            Column::NullableStr { values, mask } => {
                (present(mask) && is_present(&values[row])).then(|| values[row].clone())
            }
        }
    }

    /// The given rows in the given order. Unused categories stay.
    pub fn select(&self, rows: &[usize]) -> Column {
        fn take<T: Clone>(values: &[T], rows: &[usize]) -> Vec<T> {
            rows.iter().map(|&row| values[row].clone()).collect()
        }
        match self {
            Column::Categorical(c) => Column::Categorical(Categorical {
                codes: take(&c.codes, rows),
                categories: c.categories.clone(),
                ordered: c.ordered,
                kind: c.kind,
            }),
            Column::Str(v) => Column::Str(take(v, rows)),
            Column::Float(v) => Column::Float(take(v, rows)),
            Column::Float32(v) => Column::Float32(take(v, rows)),
            Column::Int(v) => Column::Int(take(v, rows)),
            Column::Bool(v) => Column::Bool(take(v, rows)),
            Column::NullableInt { values, mask } => {
                Column::NullableInt { values: take(values, rows), mask: take(mask, rows) }
            }
            Column::NullableBool { values, mask } => {
                Column::NullableBool { values: take(values, rows), mask: take(mask, rows) }
            }
            Column::NullableStr { values, mask } => {
                Column::NullableStr { values: take(values, rows), mask: take(mask, rows) }
            }
        }
    }

    /// As numbers, if it holds numbers (missing integers become NaN).
    pub fn numbers(&self) -> Option<Vec<f64>> {
        match self {
            Column::Float(v) => Some(v.clone()),
            Column::Float32(v) => Some(v.iter().map(|&x| f64::from(x)).collect()),
            Column::Int(v) => Some(v.iter().map(|&x| x as f64).collect()),
            Column::NullableInt { values, mask } => {
                Some(values.iter().zip(mask).map(|(&x, &m)| if m { f64::NAN } else { x as f64 }).collect())
            }
            _ => None,
        }
    }
}

/// Rows with unique names (by intention; `check` reports repeats) and ordered columns.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Table {
    /// The index's own name, if it has one.
    pub index_name: Option<String>,
    /// Row names: cell barcodes or gene names.
    pub index: Vec<String>,
    /// Columns in order.
    pub columns: Vec<(String, Column)>,
}

impl Table {
    /// A table of row names alone.
    pub fn new(index: Vec<String>) -> Table {
        Table { index_name: None, index, columns: Vec::new() }
    }

    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        self.index.len()
    }

    /// Names of the columns.
    pub fn names(&self) -> Vec<&str> {
        self.columns.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// A column by its name.
    pub fn get(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|(n, _)| n == name).map(|(_, column)| column)
    }

    /// Adds a column, or replaces the one of that name in its place.
    ///
    /// # Errors
    /// `Error::Shape` if its length is not the number of rows.
    pub fn set(&mut self, name: impl Into<String>, column: Column) -> Result<()> {
        let name = name.into();
        if column.len() != self.n_rows() {
            return Err(Error::Shape {
                op: "table column",
                expected: format!("{} rows in column \"{name}\"", self.n_rows()),
                found: format!("{}", column.len()),
            });
        }
        match self.columns.iter_mut().find(|(n, _)| *n == name) {
            Some((_, old)) => *old = column,
            None => self.columns.push((name, column)),
        }
        Ok(())
    }

    /// The given rows in the given order.
    pub fn select_rows(&self, rows: &[usize]) -> Table {
        Table {
            index_name: self.index_name.clone(),
            index: rows.iter().map(|&row| self.index[row].clone()).collect(),
            columns: self.columns.iter().map(|(name, column)| (name.clone(), column.select(rows))).collect(),
        }
    }

    /// The column of that name, or an error that lists what there is. `place` says which table it
    /// is and of which file, as in `"ref.h5ad: obs"`.
    pub fn column(&self, place: &str, name: &str) -> Result<&Column> {
        self.get(name).ok_or_else(|| {
            Error::data(place, format!("no column \"{name}\""), format!("it has {}", list_names(&self.names())))
        })
    }
}

/// Names for an error text: quoted, at most twelve, then how many more.
pub fn list_names<S: AsRef<str>>(names: &[S]) -> String {
    if names.is_empty() {
        return "none".into();
    }
    let shown: Vec<String> = names.iter().take(12).map(|n| format!("\"{}\"", n.as_ref())).collect();
    let more = names.len().saturating_sub(12);
    if more > 0 { format!("{} and {more} more", shown.join(", ")) } else { shown.join(", ") }
}

fn is_present(text: &str) -> bool {
    !matches!(text, "" | "nan" | "NaN" | "NA" | "<NA>" | "None")
}

fn bool_text(value: bool) -> String {
    (if value { "True" } else { "False" }).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn categories_are_sorted_and_missing_is_none() {
        let column = Categorical::from_strings(&["b", "a", "b"]);
        assert_eq!((column.codes.as_slice(), column.categories[0].as_str()), ([1, 0, 1].as_slice(), "a"));
        let known = Categorical::with_categories(&["b", "x"], vec!["b".into()]);
        assert_eq!((known.get(0), known.get(1)), (Some("b"), None));
    }

    #[test]
    fn missing_values_have_no_text() {
        assert_eq!(Column::Float(vec![f64::NAN, 2.0]).text(0), None);
        assert_eq!(Column::Float(vec![f64::NAN, 2.0]).text(1).as_deref(), Some("2"));
        assert_eq!(Column::Str(vec!["nan".into()]).text(0), None);
        let masked = Column::NullableInt { values: vec![1, 2], mask: vec![true, false] };
        assert_eq!((masked.text(0), masked.text(1)), (None, Some("2".into())));
    }

    #[test]
    fn a_missing_column_lists_the_existing_ones() {
        let mut table = Table::new(vec!["c1".into()]);
        table.set("celltype", Column::Int(vec![1])).unwrap();
        let error = table.column("q.h5ad: obs", "label").unwrap_err().to_string();
        assert_eq!(error, "q.h5ad: obs: no column \"label\"; it has \"celltype\"");
        assert!(table.set("short", Column::Int(vec![])).is_err());
    }
}
