//! What a matrix holds, and what is wrong with it, in one line each: what, where, what to do.
//!
//! May use: `error`, the data types. [`describe`] looks and judges; the `require_*` functions turn
//! what a caller cannot use into an error.
#![forbid(unsafe_code)]

use super::blocks::RowBlocks;
use super::csr::Csr;
use super::matrix::Matrix;
use crate::error::{Error, Result};
use std::collections::HashMap;

/// What kind of values a matrix holds.
// Each variant's own line tells of its fields.
#[allow(missing_docs)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Content {
    /// No cells, no genes, or nothing but zeros.
    Empty,
    /// Whole numbers, none negative.
    Counts,
    /// Scaled to a common total (`None`: genes were chosen afterwards, so the totals differ).
    Normalised { target: Option<f64> },
    /// The same, then `ln(1 + x)`.
    Log1p { target: Option<f64> },
    /// With negative values: centred, or a residual.
    Scaled,
    /// Not negative, not whole, and neither of the above.
    Fractional,
    /// Holds NaN or an infinity.
    NotFinite,
}

impl Content {
    /// One or two words for a listing.
    pub fn name(&self) -> &'static str {
        match self {
            Content::Empty => "empty",
            Content::Counts => "counts",
            Content::Normalised { .. } => "normalised",
            Content::Log1p { .. } => "log1p normalised",
            Content::Scaled => "scaled",
            Content::Fractional => "fractional",
            Content::NotFinite => "not finite",
        }
    }
}

/// An entry of a matrix.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Entry {
    /// Row, from 0.
    pub row: usize,
    /// Column, from 0.
    pub column: usize,
    /// Its value.
    pub value: f32,
}

/// What [`describe`] saw.
#[derive(Clone, Debug, PartialEq)]
pub struct Description {
    /// What the matrix seems to hold.
    pub content: Content,
    /// Why it is taken for that.
    pub evidence: String,
    /// Smallest and largest finite value, zeros included.
    pub range: (f32, f32),
    /// Entries that are not 0.
    pub nonzero: usize,
    /// The first NaN or infinity.
    pub not_finite: Option<Entry>,
    /// The first negative entry.
    pub negative: Option<Entry>,
    /// The first entry that is no whole number.
    pub fractional: Option<Entry>,
    /// Cells without any value above 0 (nor below).
    pub empty_cells: Vec<usize>,
}

/// Looks at every entry and says what the matrix holds.
pub fn describe(matrix: &Matrix) -> Description {
    let (n_rows, n_cols) = (matrix.n_rows(), matrix.n_cols());
    let mut look = Look::new(n_rows);
    (0..n_rows).for_each(|row| look.row(row, entries(matrix, row)));
    let judged = look.judge(n_cols).unwrap_or_else(|mut logs| {
        (0..n_rows).for_each(|row| logs.row(entries(matrix, row).map(|(_, value)| value)));
        logs.judge()
    });
    look.finish(judged)
}

/// The same of a matrix that is read in blocks: once, and once more if the values may be logarithms.
///
/// # Errors
/// Those of reading.
pub fn describe_blocks(matrix: &dyn RowBlocks) -> Result<Description> {
    describe_beside(matrix, &mut |_, _| {})
}

/// The same, with the blocks of the first pass shown to somebody else as well: `beside(first row,
/// rows)`.
///
/// # Errors
/// Those of reading.
pub fn describe_beside(matrix: &dyn RowBlocks, beside: &mut dyn FnMut(usize, &Csr)) -> Result<Description> {
    let mut look = Look::new(matrix.n_rows());
    matrix.pass(&mut |first, rows| {
        beside(first, rows);
        for row in 0..rows.n_rows() {
            let (columns, values) = rows.row(row);
            look.row(first + row, columns.iter().zip(values).map(|(&column, &value)| (column as usize, value)));
        }
        Ok(())
    })?;
    let judged = match look.judge(matrix.n_cols()) {
        Ok(judged) => judged,
        Err(mut logs) => {
            matrix.pass(&mut |_, rows| {
                (0..rows.n_rows()).for_each(|row| logs.row(rows.row(row).1.iter().copied()));
                Ok(())
            })?;
            logs.judge()
        }
    };
    Ok(look.finish(judged))
}

/// (column, value) of the stored entries of a row.
fn entries(matrix: &Matrix, row: usize) -> Box<dyn Iterator<Item = (usize, f32)> + '_> {
    match matrix {
        Matrix::Dense(m) => Box::new(m.row(row).iter().copied().enumerate()),
        Matrix::Csr(m) => {
            let (columns, values) = m.row(row);
            Box::new(columns.iter().zip(values).map(|(&column, &value)| (column as usize, value)))
        }
    }
}

type Judged = (Content, String);

/// What is seen in a pass over the rows, in order.
struct Look {
    seen: Description,
    /// Of each row, what its values sum to.
    totals: Vec<f64>,
    multiples: Multiples,
    n_rows: usize,
}

impl Look {
    fn new(n_rows: usize) -> Look {
        let seen = Description {
            content: Content::Empty,
            evidence: String::new(),
            range: (0.0, 0.0),
            nonzero: 0,
            not_finite: None,
            negative: None,
            fractional: None,
            empty_cells: Vec::new(),
        };
        Look { seen, totals: Vec::with_capacity(n_rows), multiples: Multiples::default(), n_rows }
    }

    fn row(&mut self, row: usize, values: impl Iterator<Item = (usize, f32)>) {
        let seen = &mut self.seen;
        let before = seen.nonzero;
        let mut total = 0.0;
        let mut positive = Vec::new();
        let judging = self.multiples.undecided();
        for (column, value) in values {
            if value == 0.0 {
                continue;
            }
            seen.nonzero += 1;
            let entry = || Some(Entry { row, column, value });
            total += f64::from(value);
            if !value.is_finite() {
                seen.not_finite = seen.not_finite.or_else(entry);
                continue;
            }
            seen.range = (seen.range.0.min(value), seen.range.1.max(value));
            if value < 0.0 {
                seen.negative = seen.negative.or_else(entry);
            }
            if seen.fractional.is_none() && value.fract() != 0.0 {
                seen.fractional = entry();
            }
            if judging && value > 0.0 {
                positive.push(f64::from(value));
            }
        }
        if seen.nonzero == before {
            seen.empty_cells.push(row);
        }
        self.totals.push(total);
        if judging {
            self.multiples.row(positive);
        }
    }

    /// What the matrix holds, or what has to be looked at for it once more.
    fn judge(&self, n_cols: usize) -> std::result::Result<Judged, Logs> {
        let seen = &self.seen;
        let high = seen.range.1;
        if let Some(entry) = seen.not_finite {
            return Ok((Content::NotFinite, format!("holds the value {}", entry.value)));
        }
        if seen.nonzero == 0 {
            return Ok((Content::Empty, format!("{} cells x {n_cols} genes, all zero", self.n_rows)));
        }
        if let Some(entry) = seen.negative {
            return Ok((Content::Scaled, format!("negative values down to {}, as {}", seen.range.0, entry.value)));
        }
        let Some(fractional) = seen.fractional else {
            return Ok((Content::Counts, format!("whole numbers from 0 to {high}")));
        };
        if let Some(total) = common_total(&self.totals) {
            let evidence = format!("every cell sums to {}", rounded(total));
            return Ok((Content::Normalised { target: Some(total) }, evidence));
        }
        let otherwise = if self.multiples.fit() {
            let evidence = "in each cell, values are multiples of the smallest".to_owned();
            (Content::Normalised { target: None }, evidence)
        } else {
            let evidence = format!("values up to {high} that are not whole, as {}", fractional.value);
            (Content::Fractional, evidence)
        };
        if high < 50.0 {
            return Err(Logs { totals: Vec::new(), multiples: Multiples::default(), otherwise });
        }
        Ok(otherwise)
    }

    fn finish(self, (content, evidence): Judged) -> Description {
        Description { content, evidence, ..self.seen }
    }
}

/// The values without a logarithm that they may have.
struct Logs {
    totals: Vec<f64>,
    multiples: Multiples,
    otherwise: Judged,
}

impl Logs {
    fn row(&mut self, values: impl Iterator<Item = f32>) {
        let judging = self.multiples.undecided();
        let mut positive = Vec::new();
        let mut total = 0.0;
        for value in values {
            let linear = f64::from(value).exp_m1();
            total += linear;
            if judging && value > 0.0 {
                positive.push(linear);
            }
        }
        self.totals.push(total);
        if judging {
            self.multiples.row(positive);
        }
    }

    fn judge(self) -> Judged {
        if let Some(total) = common_total(&self.totals) {
            let evidence = format!("every cell sums to {} after expm1", rounded(total));
            return (Content::Log1p { target: Some(total) }, evidence);
        }
        if self.multiples.fit() {
            let evidence = "in each cell, expm1 of the values are multiples of the smallest".to_owned();
            return (Content::Log1p { target: None }, evidence);
        }
        self.otherwise
    }
}

/// The total that all filled cells share: to one part in a thousand, and of many cells to one in a
/// hundred, which is what values kept in half precision leave of it.
fn common_total(totals: &[f64]) -> Option<f64> {
    let filled: Vec<f64> = totals.iter().copied().filter(|&t| t > 0.0).collect();
    if filled.len() < 2 {
        return None; // one cell shares its total with nobody
    }
    let mean = filled.iter().sum::<f64>() / filled.len() as f64;
    let tolerance = if filled.len() >= 20 { 1e-2 } else { 1e-3 };
    filled.iter().all(|t| (t - mean).abs() <= tolerance * mean).then_some(mean)
}

/// Whether, in nine of ten of the first cells, nearly all values are whole multiples of the cell's
/// smallest: what dividing counts by a total leaves behind.
#[derive(Default)]
struct Multiples {
    looked: usize,
    fit: usize,
}

impl Multiples {
    fn undecided(&self) -> bool {
        self.looked < 200
    }

    /// The values above 0 of a cell.
    fn row(&mut self, mut values: Vec<f64>) {
        let unit = values.iter().copied().fold(f64::INFINITY, f64::min);
        // A few multiples could be chance, and far multiples drown in rounding.
        values.retain(|v| *v < 200.0 * unit);
        let more = values.iter().filter(|v| **v > 1.5 * unit).count();
        if more < 3 {
            return;
        }
        let whole = values.iter().filter(|v| (*v / unit - (*v / unit).round()).abs() < 0.01).count();
        self.looked += 1;
        self.fit += usize::from(whole * 20 >= values.len() * 19);
    }

    fn fit(&self) -> bool {
        self.looked > 0 && self.fit * 10 >= self.looked * 9
    }
}

fn rounded(total: f64) -> f64 {
    (total * 100.0).round() / 100.0
}

/// Names for messages: which file and matrix, its cells and genes.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    /// As in `"query.h5ad: X"` or `"query.h5ad: layer \"counts\""`.
    pub place: &'a str,
    /// Names of the cells.
    pub cells: &'a [String],
    /// Names of the genes.
    pub genes: &'a [String],
}

impl Names<'_> {
    fn not_counts(&self, entry: Entry, fix: String) -> Error {
        Error::NotCounts {
            place: self.place.into(),
            value: entry.value,
            cell: self.cells.get(entry.row).cloned().unwrap_or_default(),
            gene: self.genes.get(entry.column).cloned().unwrap_or_default(),
            fix,
        }
    }
}

/// Fails if there are no cells, no genes, or nothing but zeros.
pub fn require_filled(seen: &Description, names: Names) -> Result<()> {
    if names.cells.is_empty() || names.genes.is_empty() || seen.nonzero == 0 {
        let what = match (names.cells.len(), names.genes.len()) {
            (n, m) if n == 0 || m == 0 => format!("the matrix is empty ({n} cells x {m} genes)"),
            (n, m) => format!("the matrix holds nothing but zeros ({n} cells x {m} genes)"),
        };
        return Err(Error::data(names.place, what, "check the file, or choose another matrix with --layer"));
    }
    Ok(())
}

/// Fails at the first NaN or infinity.
pub fn require_finite(seen: &Description, names: Names) -> Result<()> {
    let Some(entry) = seen.not_finite else { return Ok(()) };
    let (cell, gene) = (names.cells.get(entry.row), names.genes.get(entry.column));
    let what = format!(
        "value {} at cell {}, gene {} is not a number that can be used",
        entry.value,
        cell.map_or("?", String::as_str),
        gene.map_or("?", String::as_str)
    );
    Err(Error::data(names.place, what, "replace or remove such values"))
}

/// Fails at the first value that is not a count. `layers` are the other matrices of the file, to
/// suggest one of them.
pub fn require_counts(seen: &Description, names: Names, layers: &[String]) -> Result<()> {
    let first = [seen.not_finite, seen.negative, seen.fractional].into_iter().flatten();
    let Some(entry) = first.min_by_key(|entry| (entry.row, entry.column)) else { return Ok(()) };
    let hint =
        layers.iter().find(|name| ["counts", "raw_counts", "raw", "umi"].contains(&name.to_lowercase().as_str()));
    let fix = match (hint, layers.first()) {
        (Some(name), _) | (None, Some(name)) => format!("raw counts are needed, try --layer {name}"),
        (None, None) => "raw counts are needed, give a file that holds them".to_owned(),
    };
    Err(names.not_counts(entry, fix))
}

/// Fails if the matrix holds anything but log1p-normalised values; the reverse of
/// [`require_counts`].
pub fn require_log1p(seen: &Description, names: Names) -> Result<()> {
    if matches!(seen.content, Content::Log1p { .. }) {
        return Ok(());
    }
    let what = format!("holds {} values ({}), not log1p-normalised ones", seen.content.name(), seen.evidence);
    let fix = match seen.content {
        Content::Counts | Content::Normalised { .. } => "run cytograd preprocess on it first",
        _ => "give a file with log1p-normalised values, or one with raw counts to cytograd preprocess",
    };
    Err(Error::data(names.place, what, fix))
}

/// Fails if a cell has no counts.
pub fn require_no_empty_cells(seen: &Description, names: Names) -> Result<()> {
    let Some(&first) = seen.empty_cells.first() else { return Ok(()) };
    let cell = names.cells.get(first).map_or("?", String::as_str);
    let what = match seen.empty_cells.len() {
        1 => format!("cell {cell} has no counts"),
        n => format!("{n} cells have no counts, the first is {cell}"),
    };
    Err(Error::data(names.place, what, "remove them, for instance with cytograd preprocess --min-genes 1"))
}

/// Names that occur more than once, in order of their second occurrence, with how often.
pub fn duplicates(names: &[String]) -> Vec<(&str, usize)> {
    let mut counts: HashMap<&str, usize> = HashMap::with_capacity(names.len());
    let mut repeated = Vec::new();
    for name in names {
        let count = counts.entry(name).or_default();
        *count += 1;
        if *count == 2 {
            repeated.push(name.as_str());
        }
    }
    repeated.into_iter().map(|name| (name, counts[name])).collect()
}

/// Fails if cell names repeat (`kind` `"cell"`) or gene names do (`"gene"`).
pub fn require_unique(names: &[String], kind: &str, place: &str) -> Result<()> {
    let repeated = duplicates(names);
    let Some((name, count)) = repeated.first() else { return Ok(()) };
    let more = match repeated.len() - 1 {
        0 => String::new(),
        n => format!(", and {n} more names repeat"),
    };
    let axis = if kind == "gene" { "var" } else { "obs" };
    Err(Error::data(
        place,
        format!("{kind} name \"{name}\" occurs {count} times{more}"),
        format!("make them unique ({axis}_names_make_unique in anndata)"),
    ))
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
