//! A figure and the numbers behind it.

use super::drawing::Drawing;
use crate::error::{Error, Result};

/// The numbers of a figure.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// Names of the columns.
    pub header: Vec<String>,
    /// As many entries each.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table.
    pub fn new(header: &[&str]) -> Table {
        Table { header: header.iter().map(|h| (*h).to_owned()).collect(), rows: Vec::new() }
    }

    /// Adds a row.
    pub fn push(&mut self, row: Vec<String>) {
        self.rows.push(row);
    }

    /// As CSV.
    ///
    /// # Errors
    /// `Error::Argument` if a row has another number of entries than the header.
    pub fn csv(&self) -> Result<Vec<u8>> {
        let wrong = |e: String| Error::Argument { op: "csv", what: e };
        let mut writer = csv::Writer::from_writer(Vec::new());
        for row in std::iter::once(&self.header).chain(&self.rows) {
            writer.write_record(row).map_err(|e| wrong(e.to_string()))?;
        }
        writer.into_inner().map_err(|e| wrong(e.to_string()))
    }
}

/// A number for a table; nothing for NaN.
pub fn number(v: f64) -> String {
    if v.is_nan() { String::new() } else { format!("{v}") }
}

/// A drawing with its name, its words and its numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// Name of its files.
    pub name: String,
    /// What it is.
    pub title: String,
    /// What it shows and how to read it.
    pub caption: String,
    /// The picture.
    pub drawing: Drawing,
    /// The numbers.
    pub table: Table,
}
