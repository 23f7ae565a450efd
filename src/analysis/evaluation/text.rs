//! The report as text for a terminal: sections of aligned columns, at most a few dozen lines.

use super::{Detection, ECE_BINS, Evaluation};
use std::fmt::{self, Display, Write};

impl Display for Evaluation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known_types = self.types.iter().filter(|t| t.known).count();
        let unknown_types = self.types.len() - known_types;
        writeln!(
            f,
            "{} evaluated: {} of {}, {} of {}",
            counted(self.cells, "cell"),
            self.known_cells,
            counted(known_types, "known type"),
            self.unknown_cells,
            counted(unknown_types, "unknown type")
        )?;
        if self.without_truth + self.not_annotated > 0 {
            writeln!(f, "left out: {} without a true type, {} not annotated", self.without_truth, self.not_annotated)?;
        }
        writeln!(f, "\nknown cells")?;
        let figures = [
            ("accuracy", self.accuracy),
            ("balanced accuracy", self.balanced_accuracy),
            ("macro F1", self.macro_f1),
            ("ECE, equal width", self.ece_equal_width),
            ("ECE, equal mass", self.ece_equal_mass),
        ];
        for (name, value) in figures {
            let bins = if name.starts_with("ECE") { format!("  ({ECE_BINS} bins)") } else { String::new() };
            writeln!(f, "  {name:<20}{}{bins}", figure(value))?;
        }
        self.write_detection(f)?;
        if let Some(flagging) = &self.flagging {
            writeln!(f, "\nflagged as unlike the reference")?;
            writeln!(f, "  {:<20}{}", "known cells", percent(flagging.known_flagged))?;
            writeln!(f, "  {:<20}{}", "unknown cells", percent(flagging.unknown_flagged))?;
            writeln!(f, "  {:<20}{}  (known cells not flagged)", "accuracy", figure(flagging.accuracy_kept))?;
        }
        self.write_types(f)?;
        self.write_confusion(f)
    }
}

impl Evaluation {
    fn write_detection(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.detection.is_empty() {
            return writeln!(f, "\nunknown cells: none, so no score can be judged by them");
        }
        let mut rows = vec![row(["known against unknown cells", "AUROC", "AP", "AP unknown", "FPR at 95 % TPR"])];
        let mut add = |name: String, d: &Detection| {
            let figures = [d.auroc, d.average_precision, d.average_precision_unknown, d.fpr_at_tpr95].map(figure);
            rows.push(std::iter::once(name).chain(figures).collect());
        };
        for d in &self.detection {
            add(format!("  {}", d.score), d);
        }
        let unknown: Vec<_> = self.types.iter().filter(|t| !t.known).collect();
        // With one unknown type its rows would only repeat those above.
        for (t, d) in unknown.iter().filter(|_| unknown.len() > 1).flat_map(|t| t.detection.iter().map(move |d| (t, d)))
        {
            add(format!("  {}, {}", t.label, d.score), d);
        }
        writeln!(f)?;
        write_table(f, &rows)
    }

    fn write_types(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows = vec![row(["true type", "cells", "recall", "precision", "F1", "flagged"])];
        for t in &self.types {
            let name = if t.known { format!("  {}", t.label) } else { format!("  {} (unknown)", t.label) };
            let figures = [figure(t.recall), figure(t.precision), figure(t.f1), percent(t.flagged)];
            rows.push([name, t.cells.to_string()].into_iter().chain(figures).collect());
        }
        if self.flagging.is_none() {
            rows.iter_mut().for_each(|r| r.truncate(5));
        }
        writeln!(f)?;
        write_table(f, &rows)
    }

    /// Columns carry the number of their label's row; unknown types have letters, explained below.
    fn write_confusion(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = &self.confusion;
        let heading = |column: usize| match table.labels.iter().position(|l| *l == table.types[column]) {
            Some(label) => (label + 1).to_string(),
            None => letters(column - table.known.iter().filter(|&&k| k).count()),
        };
        let headings: Vec<String> = (0..table.types.len()).map(heading).collect();
        let mut rows =
            vec![std::iter::once("label given, % of a true type".into()).chain(headings.iter().cloned()).collect()];
        for (r, fractions) in table.fractions.iter().enumerate() {
            let name = match table.labels.get(r) {
                Some(label) => format!("  {:>2} {label}", r + 1),
                None if self.flagging.is_some() => "     flagged".into(),
                None => continue,
            };
            let cell = |&v: &f64| if v == 0.0 { ".".into() } else { format!("{:.0}", 100.0 * v) };
            rows.push(std::iter::once(name).chain(fractions.iter().map(cell)).collect());
        }
        writeln!(f)?;
        write_table(f, &rows)?;
        for (column, name) in table.types.iter().enumerate().filter(|&(column, _)| !table.known[column]) {
            writeln!(f, "  {} = {name} (unknown)", headings[column])?;
        }
        Ok(())
    }
}

fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(String::from).to_vec()
}

/// First column to the left, the others to the right, two spaces between.
fn write_table(f: &mut fmt::Formatter<'_>, rows: &[Vec<String>]) -> fmt::Result {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |c: usize| rows.iter().filter_map(|r| r.get(c)).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in rows {
        let mut line = String::new();
        for (c, cell) in row.iter().enumerate() {
            let w = widths[c];
            match c {
                0 => write!(line, "{cell:<w$}")?,
                _ => write!(line, "  {cell:>w$}")?,
            }
        }
        writeln!(f, "{}", line.trim_end())?;
    }
    Ok(())
}

fn figure(value: f64) -> String {
    if value.is_nan() { "-".into() } else { format!("{value:.4}") }
}

fn percent(value: f64) -> String {
    if value.is_nan() { "-".into() } else { format!("{:.1} %", 100.0 * value) }
}

fn counted(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// a, b, ..., z, aa, ab, ...
fn letters(mut n: usize) -> String {
    let mut name = String::new();
    loop {
        name.insert(0, (b'a' + (n % 26) as u8) as char);
        if n < 26 {
            return name;
        }
        n = n / 26 - 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_go_on_after_z() {
        assert_eq!(["a", "z", "aa", "az", "ba"].map(String::from), [0, 25, 26, 51, 52].map(letters));
    }
}
