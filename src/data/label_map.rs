//! Labels renamed by a list: `from,to` per line of a CSV or TSV.
//!
//! May use: `error`, csv, [`Table`]. For references that name the same types differently, and for
//! coarser classes.
#![forbid(unsafe_code)]

use super::table::{Categorical, Column, Table, list_names};
use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What each label becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelMap {
    to: BTreeMap<String, String>,
    path: PathBuf,
}

impl LabelMap {
    /// Reads a list of two columns; a first line `from,to` is a header. An empty second entry
    /// takes the label away.
    ///
    /// # Errors
    /// `Error::Io` if the file cannot be read; `Error::Format` for a line without two entries, or
    /// two targets of one label.
    pub fn read(path: &Path) -> Result<LabelMap> {
        let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, "reading", e))?;
        let tabs = text.lines().next().is_some_and(|line| line.contains('\t'));
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(if tabs { b'\t' } else { b',' })
            .has_headers(false)
            .flexible(true)
            .trim(csv::Trim::All)
            .from_reader(text.as_bytes());
        let mut to: BTreeMap<String, String> = BTreeMap::new();
        for (line, record) in reader.records().enumerate() {
            let wrong = |what: String| Error::format(path, format!("line {}: {what}", line + 1), "write it as from,to");
            let record = record.map_err(|e| wrong(e.to_string()))?;
            let (Some(from), Some(target), 2) = (record.get(0), record.get(1), record.len()) else {
                return Err(wrong(format!("{} entries", record.len())));
            };
            if line == 0 && (from, target) == ("from", "to") {
                continue;
            }
            if let Some(other) = to.insert(from.to_owned(), target.to_owned())
                && other != target
            {
                return Err(wrong(format!("\"{from}\" becomes \"{target}\" here and \"{other}\" before")));
            }
        }
        if to.is_empty() {
            return Err(Error::format(path, "the list of labels is empty", "write it as from,to"));
        }
        Ok(LabelMap { to, path: path.to_owned() })
    }

    /// Renames the labels of a column; those that the list does not name stay.
    ///
    /// `place` names the table in messages, as in `"ref.h5ad: obs"`.
    ///
    /// # Errors
    /// `Error::Data` if there is no such column, or it has none of the labels.
    pub fn apply(&self, table: &mut Table, column: &str, place: &str) -> Result<()> {
        let values = table.column(place, column)?;
        let texts: Vec<String> = (0..values.len()).map(|row| values.text(row).unwrap_or_default()).collect();
        if !texts.is_empty() && !texts.iter().any(|text| self.to.contains_key(text)) {
            let mut levels = texts;
            levels.sort_unstable();
            levels.dedup();
            let what = format!("no cell has a label of {}", self.path.display());
            let fix = format!("the column has {}", list_names(&levels));
            return Err(Error::data(format!("{place} column \"{column}\""), what, fix));
        }
        let renamed: Vec<&str> = texts.iter().map(|text| self.to.get(text).unwrap_or(text).as_str()).collect();
        let present: Vec<&str> = renamed.iter().copied().filter(|text| !text.is_empty()).collect();
        let categories = Categorical::from_strings(&present).categories;
        table.set(column, Column::Categorical(Categorical::with_categories(&renamed, categories)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(text: &str) -> Result<LabelMap> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("map.csv");
        std::fs::write(&path, text).unwrap();
        LabelMap::read(&path)
    }

    fn table() -> Table {
        let mut table = Table::new((0..4).map(|i| format!("c{i}")).collect());
        let labels = Categorical::from_strings(&["CD4 T", "CD8 T", "B", "debris"]);
        table.set("type", Column::Categorical(labels)).unwrap();
        table
    }

    #[test]
    fn labels_are_renamed_merged_and_taken_away() {
        let mut table = table();
        let list = map("from,to\nCD4 T,T\n\"CD8 T\",T\ndebris,\n").unwrap();
        list.apply(&mut table, "type", "r: obs").unwrap();
        let column = table.get("type").unwrap();
        let texts: Vec<Option<String>> = (0..4).map(|row| column.text(row)).collect();
        assert_eq!(texts, [Some("T".into()), Some("T".into()), Some("B".into()), None]);
        assert!(map("CD4 T\tT\n").unwrap().apply(&mut table, "kind", "r: obs").is_err());
    }

    #[test]
    fn a_list_that_is_wrong_is_said_by_line() {
        assert!(map("a,b\nc\n").unwrap_err().to_string().contains("line 2: 1 entries"));
        assert!(map("a,b\na,c\n").unwrap_err().to_string().contains("\"a\" becomes \"c\" here and \"b\" before"));
        assert!(map("").unwrap_err().to_string().contains("is empty"));
        let error = map("x,y\n").unwrap().apply(&mut table(), "type", "r: obs").unwrap_err().to_string();
        assert!(error.contains("no cell has a label of") && error.contains("\"CD4 T\""), "{error}");
    }
}
