//! Tables of means and standard deviations, as the papers print them.

use crate::error::{Error, Result};
use crate::models::run::write_whole;
use serde::Serialize;
use std::path::Path;

/// A column.
#[derive(Clone, Debug, Serialize)]
pub struct Column {
    /// Its title.
    pub name: &'static str,
    /// Digits after the point.
    pub digits: usize,
}

/// Mean and standard deviation over runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Cell {
    /// Mean.
    pub mean: f64,
    /// Of the runs themselves (divided by n); absent for a single one.
    pub sd: Option<f64>,
    /// Number of runs.
    pub n: usize,
}

impl Cell {
    /// Over the values that are numbers; `None` if there is none.
    pub fn over(values: impl IntoIterator<Item = f64>) -> Option<Cell> {
        let values: Vec<f64> = values.into_iter().filter(|v| v.is_finite()).collect();
        let n = values.len();
        if n == 0 {
            return None;
        }
        let mean = values.iter().sum::<f64>() / n as f64;
        let square = |v: &f64| (v - mean) * (v - mean);
        let sd = (n > 1).then(|| (values.iter().map(square).sum::<f64>() / n as f64).sqrt());
        Some(Cell { mean, sd, n })
    }

    fn text(self, digits: usize) -> String {
        match self.sd {
            Some(sd) => format!("{:.digits$} ± {sd:.digits$}", self.mean),
            None => format!("{:.digits$}", self.mean),
        }
    }
}

/// A table; rows are what is compared.
#[derive(Clone, Debug, Serialize)]
pub struct Table {
    /// What it shows.
    pub title: String,
    /// What a row is called.
    pub head: &'static str,
    /// All other columns.
    pub columns: Vec<Column>,
    /// Names and cells; `None` is printed as a dash.
    pub rows: Vec<(String, Vec<Option<Cell>>)>,
    /// What is to be said beside it.
    pub notes: Vec<String>,
}

impl Table {
    /// The header and all rows as texts.
    pub fn texts(&self) -> (Vec<&str>, Vec<Vec<String>>) {
        let header = std::iter::once(self.head).chain(self.columns.iter().map(|c| c.name)).collect();
        let text = |(cell, column): (&Option<Cell>, &Column)| cell.map_or("-".into(), |cell| cell.text(column.digits));
        let row = |(name, cells): &(String, Vec<Option<Cell>>)| {
            std::iter::once(name.clone()).chain(cells.iter().zip(&self.columns).map(text)).collect()
        };
        (header, self.rows.iter().map(row).collect())
    }

    /// Markdown, notes below.
    pub fn markdown(&self) -> String {
        let (header, rows) = self.texts();
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let mut text = format!("{}\n\n", self.title);
        text += &line(&header.iter().map(|h| (*h).to_owned()).collect::<Vec<_>>());
        text += &line(&vec!["---".to_owned(); header.len()]);
        rows.iter().for_each(|row| text += &line(row));
        self.notes.iter().for_each(|note| text += &format!("\n{note}\n"));
        text
    }

    /// Writes `table.md`, `table.csv` (a line per cell) and `table.json` into a folder, each whole.
    ///
    /// # Errors
    /// `Error::Io`.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let failed = |what: String| Error::Argument { op: "table", what };
        let mut csv = csv::Writer::from_writer(Vec::new());
        csv.write_record([self.head, "figure", "mean", "sd", "n"]).map_err(|e| failed(e.to_string()))?;
        for (name, cells) in &self.rows {
            for (cell, column) in cells.iter().zip(&self.columns) {
                if let Some(Cell { mean, sd, n }) = cell {
                    let sd = sd.map_or(String::new(), |sd| sd.to_string());
                    let record = [name, column.name, &mean.to_string(), &sd, &n.to_string()];
                    csv.write_record(record).map_err(|e| failed(e.to_string()))?;
                }
            }
        }
        let csv = csv.into_inner().map_err(|e| failed(e.to_string()))?;
        let json = serde_json::to_string_pretty(self).map_err(|e| failed(e.to_string()))?;
        write_whole(&folder.join("table.csv"), &csv)?;
        write_whole(&folder.join("table.json"), format!("{json}\n").as_bytes())?;
        write_whole(&folder.join("table.md"), self.markdown().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_means_and_standard_deviations_of_what_there_is() {
        assert_eq!(Cell::over([1.0, 3.0, f64::NAN]), Some(Cell { mean: 2.0, sd: Some(1.0), n: 2 }));
        assert_eq!(Cell::over([5.0]), Some(Cell { mean: 5.0, sd: None, n: 1 }));
        assert_eq!(Cell::over([f64::NAN]), None);
    }

    #[test]
    fn a_table_reads_as_in_the_paper_and_is_written_in_three_forms() {
        let table = Table {
            title: "Two models.".into(),
            head: "model",
            columns: vec![Column { name: "acc %", digits: 2 }, Column { name: "p(x)", digits: 2 }],
            rows: vec![
                ("clams".into(), vec![Cell::over([92.0, 93.0]), Cell::over([0.9])]),
                ("resnet".into(), vec![Cell::over([91.53]), None]),
            ],
            notes: vec!["A note.".into()],
        };
        let expected = "Two models.\n\n| model | acc % | p(x) |\n| --- | --- | --- |\n| clams | 92.50 ± 0.50 | 0.90 |\n\
                        | resnet | 91.53 | - |\n\nA note.\n";
        assert_eq!(table.markdown(), expected);
        let folder = tempfile::tempdir().unwrap();
        table.write(folder.path()).unwrap();
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(read("table.md"), expected);
        let sd = 0.5;
        assert_eq!(
            read("table.csv"),
            format!("model,figure,mean,sd,n\nclams,acc %,92.5,{sd},2\nclams,p(x),0.9,,1\nresnet,acc %,91.53,,1\n")
        );
        let json: serde_json::Value = serde_json::from_str(&read("table.json")).unwrap();
        assert_eq!(json["rows"][1][1][0]["mean"], 91.53);
    }
}
