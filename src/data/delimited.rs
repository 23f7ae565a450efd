//! A matrix as text: CSV, TSV, semicolons or spaces, plain or gzip-compressed.
//!
//! May use: `error`, csv, flate2, the data types. One line of names, then one line per cell or gene
//! that begins with its name. Which axis holds the genes is judged by the names (see `names`) and
//! said. Columns of text between the numbers (a cell type, a description) go into the table.
#![forbid(unsafe_code)]

use super::annotated::Dataset;
use super::csr::{Csr, CsrBuilder};
use super::lines::{Bounded, read_error, unpacked};
use super::matrix::Matrix;
use super::names;
use super::source::{Loaded, Stored, Which};
use super::table::{Categorical, Column, Table};
use crate::error::{Error, Result};
use csv::ByteRecord;
use std::io::Read;
use std::path::Path;

/// Lines looked at before the columns are judged.
const SAMPLE: usize = 50;

type Records = csv::Reader<Bounded<Box<dyn Read + Send>>>;

/// Reads a table.
///
/// # Errors
/// `Error::Io` if the file cannot be read; `Error::Format` with the line that is wrong.
pub(in crate::data) fn open(path: &Path) -> Result<Loaded> {
    let separator = separator(path)?;
    let mut table = Reader {
        path,
        records: csv::ReaderBuilder::new()
            .delimiter(separator)
            .has_headers(false)
            .flexible(true)
            .comment(Some(b'#'))
            .from_reader(Bounded::new(unpacked(path)?)),
        decimal_comma: separator == b';',
    };
    let mut header = ByteRecord::new();
    let mut sample = Vec::new();
    let no_table = |what: &str| Error::format(path, format!("neither an HDF5 file nor a matrix as text: {what}"), HELP);
    if !table.next(&mut header)? {
        return Err(no_table("there is no line of names"));
    }
    let mut row = ByteRecord::new();
    while sample.len() < SAMPLE && table.next(&mut row)? {
        sample.push(row.clone());
    }
    let Some(first) = sample.first() else {
        return Err(no_table("there is one line only"));
    };
    let layout = Layout::new(&header, first.len(), &sample, table.decimal_comma).map_err(|what| no_table(&what))?;
    let mut body = Body {
        builder: CsrBuilder::new(layout.values.len(), 0),
        names: Vec::new(),
        texts: vec![Vec::new(); layout.texts.len()],
    };
    for record in &sample {
        body.push(&table, &layout, record)?;
    }
    while table.next(&mut row)? {
        body.push(&table, &layout, &row)?;
    }
    body.finish(path, separator, layout)
}

const HELP: &str = "give an h5ad, 10x, loom, MatrixMarket, CSV or TSV file";

/// The separator that cuts the first lines into most fields, the same number in each.
fn separator(path: &Path) -> Result<u8> {
    let mut head = Vec::new();
    unpacked(path)?.take(1 << 20).read_to_end(&mut head).map_err(|e| read_error(path, e, 0))?;
    let mut best = (1, 0u8);
    for candidate in *b"\t,; " {
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(candidate)
            .has_headers(false)
            .flexible(true)
            .comment(Some(b'#'))
            .from_reader(&head[..]);
        let counts: Vec<usize> = reader.byte_records().take(4).map_while(|r| r.ok().map(|r| r.len())).collect();
        // The first may lack the corner.
        let same = matches!(counts[..], [a, b, ..] if a == b || a + 1 == b);
        let fields = counts.get(1).copied().unwrap_or(0);
        if same && fields > best.0 {
            best = (fields, candidate);
        }
    }
    if best.0 < 2 {
        let what = "neither an HDF5 file nor a matrix as text: its lines do not fall into the same number of fields";
        return Err(Error::format(path, what, HELP));
    }
    Ok(best.1)
}

struct Reader<'a> {
    path: &'a Path,
    records: Records,
    decimal_comma: bool,
}

impl Reader<'_> {
    fn next(&mut self, record: &mut ByteRecord) -> Result<bool> {
        let line = self.records.position().line();
        self.records.read_byte_record(record).map_err(|e| match e.into_kind() {
            csv::ErrorKind::Io(e) => read_error(self.path, e, line),
            other => Error::format(self.path, format!("line {line}: {other:?}"), HELP),
        })
    }
}

/// Which columns are what.
struct Layout {
    /// Whether the first field of a line is its name.
    named: bool,
    /// What stands above the names.
    corner: String,
    fields: usize,
    /// Places and names of the columns with numbers.
    values: Vec<usize>,
    value_names: Vec<String>,
    /// Those of text.
    texts: Vec<usize>,
    text_names: Vec<String>,
}

impl Layout {
    fn new(
        header: &ByteRecord,
        fields: usize,
        sample: &[ByteRecord],
        comma: bool,
    ) -> std::result::Result<Layout, String> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        let mut names: Vec<String> = header.iter().map(text).collect();
        if names.len() + 1 == fields {
            names.insert(0, String::new());
        }
        if names.len() != fields {
            return Err(format!("the first line has {} fields, the second {fields}", names.len()));
        }
        // One number among the texts, and a wrong text among numbers is found line by line.
        let numeric = |column: usize| {
            let present = || sample.iter().filter_map(|r| r.get(column)).filter(|f| !is_missing(f));
            present().count() == 0 || present().any(|f| number(f, comma).is_some())
        };
        let empty = |column: usize| sample.iter().all(|r| r.get(column).is_none_or(is_missing));
        let corner = names[0].clone();
        let index_words = [
            "",
            "index",
            "cell",
            "cells",
            "cell_id",
            "barcode",
            "id",
            "name",
            "gene",
            "genes",
            "symbol",
            "unnamed: 0",
            "x",
        ];
        let all_numbers =
            |column: usize| sample.iter().all(|r| r.get(column).is_none_or(|f| number(f, comma).is_some()));
        let named = !all_numbers(0) || index_words.contains(&corner.to_ascii_lowercase().as_str());
        let (mut values, mut texts) = (Vec::new(), Vec::new());
        for column in usize::from(named)..fields {
            if numeric(column) && !empty(column) { values.push(column) } else { texts.push(column) }
        }
        if values.is_empty() {
            return Err("no column holds numbers".into());
        }
        let pick = |columns: &[usize]| columns.iter().map(|&c| names[c].clone()).collect::<Vec<_>>();
        let (value_names, text_names) = (pick(&values), pick(&texts));
        let distinct: std::collections::HashSet<&String> = value_names.iter().collect();
        let numbers = value_names.iter().all(|name| number(name.as_bytes(), comma).is_some());
        if numbers && (!named || distinct.len() < value_names.len()) {
            return Err("the first line holds numbers, not names".into());
        }
        Ok(Layout { named, corner, fields, values, value_names, texts, text_names })
    }
}

fn is_missing(field: &[u8]) -> bool {
    matches!(field.trim_ascii(), b"" | b"NA" | b"NaN" | b"nan" | b"na" | b"N/A" | b"NULL" | b"null" | b"None")
}

/// A number, NaN where it is missing; `None` for text.
fn number(field: &[u8], comma: bool) -> Option<f32> {
    let field = field.trim_ascii();
    // Most entries are this.
    if field == b"0" {
        return Some(0.0);
    }
    if is_missing(field) {
        return Some(f32::NAN);
    }
    let text = std::str::from_utf8(field).ok()?;
    if comma && text.contains(',') {
        return text.replacen(',', ".", 1).parse().ok();
    }
    text.parse().ok()
}

/// What was read so far, line by line.
struct Body {
    builder: CsrBuilder,
    names: Vec<String>,
    texts: Vec<Vec<String>>,
}

impl Body {
    fn push(&mut self, table: &Reader, layout: &Layout, record: &ByteRecord) -> Result<()> {
        let line = record.position().map_or(0, csv::Position::line);
        let wrong = |what: String| {
            let fix = "the file may be cut short or damaged, copy or write it again";
            Error::format(table.path, format!("line {line}: {what}"), fix)
        };
        if record.len() != layout.fields {
            return Err(wrong(format!("{} fields, the lines before have {}", record.len(), layout.fields)));
        }
        let mut entries = Vec::new();
        for (place, &column) in layout.values.iter().enumerate() {
            let field = &record[column];
            let Some(value) = number(field, table.decimal_comma) else {
                let shown: String = String::from_utf8_lossy(field).chars().take(40).collect();
                return Err(wrong(format!("\"{shown}\" in column \"{}\" is no number", layout.value_names[place])));
            };
            if value != 0.0 {
                entries.push((place as u32, value));
            }
        }
        self.builder.push_row(entries.into_iter());
        let text = |field: &[u8]| String::from_utf8_lossy(field).trim().to_owned();
        self.names.push(if layout.named { text(&record[0]) } else { format!("row_{}", self.names.len()) });
        for (list, &column) in self.texts.iter_mut().zip(&layout.texts) {
            list.push(text(&record[column]));
        }
        Ok(())
    }

    fn finish(self, path: &Path, separator: u8, layout: Layout) -> Result<Loaded> {
        let rows: Csr = self.builder.finish();
        let found = names::orientation(&self.names, &layout.value_names, &layout.corner);
        let mut of_rows = Table::new(self.names);
        for (name, texts) in layout.text_names.iter().zip(&self.texts) {
            let mut distinct: Vec<&String> = texts.iter().collect();
            distinct.sort_unstable();
            distinct.dedup();
            let column = if distinct.len() * 2 <= texts.len().max(2) {
                Column::Categorical(Categorical::from_strings(texts))
            } else {
                Column::Str(texts.clone())
            };
            of_rows.set(name, column)?;
        }
        let of_columns = Table::new(layout.value_names);
        let axis = if found.genes_in_rows { "rows" } else { "columns" };
        let mut notes = vec![format!("genes are taken to be in the {axis}: {}", found.evidence)];
        if !layout.named {
            notes.push("the lines have no names, so they are numbered".into());
        }
        if !layout.text_names.is_empty() {
            let table = if found.genes_in_rows { "var" } else { "obs" };
            notes
                .push(format!("columns of text are kept in {table}: {}", super::table::list_names(&layout.text_names)));
        }
        let (x, obs, var) =
            if found.genes_in_rows { (rows.transpose(), of_columns, of_rows) } else { (rows, of_rows, of_columns) };
        let entries = Some(x.nnz());
        let mut dataset = Dataset::new(Matrix::Csr(x), obs, var)?;
        dataset.source = path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        let format = match separator {
            b'\t' => "TSV",
            b',' => "CSV",
            b';' => "CSV (semicolons)",
            _ => "text (spaces)",
        };
        let (n_rows, n_cols) = (dataset.n_obs(), dataset.n_vars());
        let stored = vec![Stored { which: Which::X, n_rows, n_cols, storage: "text", dtype: "text".into(), entries }];
        Ok(Loaded { format: format.into(), dataset, notes, stored })
    }
}
