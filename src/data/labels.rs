//! The column that says what each cell is: classes to learn.
//!
//! May use: `error`, [`Table`].
#![forbid(unsafe_code)]

use super::table::{Table, list_names};
use crate::error::{Error, Result};

/// Fewer classes than this are taken for labels, however few cells they have.
const LARGE: usize = 20;

/// Classes of the cells; every cell has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labels {
    /// Class of each cell.
    pub codes: Vec<u32>,
    /// Names of the classes that occur, sorted.
    pub classes: Vec<String>,
    /// Cells per class.
    pub counts: Vec<usize>,
}

impl Labels {
    /// Classes of all rows of the column.
    ///
    /// `place` names the table in messages, as in `"ref.h5ad: obs"`.
    ///
    /// # Errors
    /// `Error::Data` if the column is missing (lists the columns there are) or a cell has no label.
    pub fn read(table: &Table, column: &str, place: &str) -> Result<Labels> {
        let values = table.column(place, column)?;
        let texts: Vec<Option<String>> = (0..values.len()).map(|row| values.text(row)).collect();
        let missing: Vec<usize> = (0..texts.len()).filter(|&row| texts[row].is_none()).collect();
        if missing.len() == texts.len() && !texts.is_empty() {
            let what = format!("column \"{column}\" is empty, none of {} cells has a label", texts.len());
            return Err(Error::data(place, what, "choose another column"));
        }
        if let Some(&first) = missing.first() {
            return Err(Error::data(
                place,
                format!(
                    "{} of {} cells have no label in \"{column}\", the first is {}",
                    missing.len(),
                    texts.len(),
                    table.index[first]
                ),
                format!("leave them out with --where '{column}!='"),
            ));
        }
        let texts: Vec<String> = texts.into_iter().flatten().collect();
        let mut classes = texts.clone();
        classes.sort_unstable();
        classes.dedup();
        let code = |text: &String| classes.binary_search(text).unwrap_or_default() as u32;
        let codes: Vec<u32> = texts.iter().map(code).collect();
        let mut counts = vec![0; classes.len()];
        codes.iter().for_each(|&code| counts[code as usize] += 1);
        Ok(Labels { codes, classes, counts })
    }

    /// Fails unless a classifier can be trained and checked on these: two classes or more, each
    /// with two cells or more.
    pub fn require_trainable(&self, column: &str, place: &str) -> Result<()> {
        match &self.classes[..] {
            [] => return Err(Error::data(place, "there are no cells to learn from", "check --where and --hold-out")),
            [only] => {
                let what = format!("all cells have the same label \"{only}\" in \"{column}\"");
                return Err(Error::data(place, what, "at least two classes are needed, choose another --label-key"));
            }
            _ => {}
        }
        if self.classes.len() > LARGE && 2 * self.classes.len() > self.codes.len() {
            let (classes, cells) = (self.classes.len(), self.codes.len());
            let what =
                format!("\"{column}\" has {classes} different values in {cells} cells, so these are hardly labels");
            return Err(Error::data(place, what, "choose another --label-key"));
        }
        let lonely: Vec<&str> =
            (0..self.classes.len()).filter(|&c| self.counts[c] == 1).map(|c| self.classes[c].as_str()).collect();
        if let Some(first) = lonely.first() {
            let what = match lonely.len() {
                1 => format!("class \"{first}\" in \"{column}\" has one cell"),
                n => format!("{n} classes in \"{column}\" have one cell each: {}", list_names(&lonely)),
            };
            return Err(Error::data(
                place,
                what,
                format!("leave it out with --hold-out \"{first}\", or merge it into another"),
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Categorical, Column};

    fn table(values: &[&str]) -> Table {
        let mut table = Table::new((0..values.len()).map(|i| format!("cell{i}")).collect());
        table.set("cell_type", Column::Categorical(Categorical::from_strings(values))).unwrap();
        table
    }

    fn refused(values: &[&str]) -> String {
        let labels = Labels::read(&table(values), "cell_type", "r.h5ad: obs");
        labels.and_then(|l| l.require_trainable("cell_type", "r.h5ad: obs")).unwrap_err().to_string()
    }

    #[test]
    fn classes_are_sorted_and_counted() {
        let labels = Labels::read(&table(&["b", "a", "b", "a", "b"]), "cell_type", "r").unwrap();
        assert_eq!(labels.classes, ["a", "b"]);
        assert_eq!(
            (labels.codes.as_slice(), labels.counts.as_slice()),
            ([1, 0, 1, 0, 1].as_slice(), [2, 3].as_slice())
        );
        labels.require_trainable("cell_type", "r").unwrap();
    }

    #[test]
    fn unusable_labels_are_said_in_one_line() {
        assert_eq!(
            Labels::read(&table(&["a"]), "celltype", "r.h5ad: obs").unwrap_err().to_string(),
            "r.h5ad: obs: no column \"celltype\"; it has \"cell_type\""
        );
        assert_eq!(
            refused(&["a", "", "b", "nan"]),
            "r.h5ad: obs: 2 of 4 cells have no label in \"cell_type\", the first is cell1; \
             leave them out with --where 'cell_type!='"
        );
        assert!(refused(&["a", "a"]).contains("all cells have the same label \"a\""));
        assert!(
            refused(&["a", "a", "b"])
                .contains("class \"b\" in \"cell_type\" has one cell; leave it out with --hold-out")
        );
        assert!(refused(&["a", "c", "b"]).contains("3 classes in \"cell_type\" have one cell each"));
        assert!(refused(&[]).contains("there are no cells"));
        assert_eq!(
            refused(&["", "nan", ""]),
            "r.h5ad: obs: column \"cell_type\" is empty, none of 3 cells has a label; choose another column"
        );
        let numbers: Vec<String> = (0..30).map(|i| format!("0.{}", i % 28)).collect();
        assert_eq!(
            refused(&numbers.iter().map(String::as_str).collect::<Vec<_>>()),
            "r.h5ad: obs: \"cell_type\" has 28 different values in 30 cells, so these are hardly labels; \
             choose another --label-key"
        );
    }
}
