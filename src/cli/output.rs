//! What goes to stdout and stderr.

use crate::error::{Error, Result};
use std::io::Write;

/// Writes text to stdout.
///
/// # Errors
/// `Error::Io`; of the kind `BrokenPipe` if the reader has gone.
pub fn print(text: &str) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(|e| Error::io("stdout", "writing", e))
}

/// Writes a JSON value to stdout, readable.
///
/// # Errors
/// As [`print`].
pub fn print_json(value: &serde_json::Value) -> Result<()> {
    print(&format!("{value:#}\n"))
}

/// Any result as JSON.
///
/// # Errors
/// `Error::Argument` if it cannot be JSON.
pub fn to_json(value: &impl serde::Serialize) -> Result<serde_json::Value> {
    serde_json::to_value(value).map_err(|e| Error::Argument { op: "json", what: e.to_string() })
}

/// Writes an error to stderr, on one line.
pub fn error(text: &str) {
    let line = text.split('\n').map(str::trim).collect::<Vec<_>>().join(" ");
    // Nobody is left to tell if stderr is closed.
    let _ = writeln!(std::io::stderr(), "cytograd: error: {line}");
}

/// A table of left-aligned first and right-aligned other columns, two spaces between them.
pub fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let all = || std::iter::once(header.iter().map(|h| h.to_string()).collect()).chain(rows.iter().cloned());
    let width = |column: usize| {
        all().map(|row: Vec<String>| row.get(column).map_or(0, |cell| cell.chars().count())).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let mut text = String::new();
    for row in all() {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let padding = " ".repeat(widths[column] - cell.chars().count());
            let (before, after) = if column == 0 { ("", padding.as_str()) } else { (padding.as_str(), "") };
            line += &format!("{}{before}{cell}{after}", if column == 0 { "" } else { "  " });
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

/// A number of bytes for people.
pub fn bytes(n: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut value, mut unit) = (n as f64, 0);
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{n} B") } else { format!("{value:.1} {}", units[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_align_and_bytes_read_well() {
        let rows = vec![vec!["T cell".into(), "12".into()], vec!["B".into(), "3456".into()]];
        assert_eq!(table(&["type", "n"], &rows), "type       n\nT cell    12\nB       3456\n");
        assert_eq!(bytes(512), "512 B");
        assert_eq!(bytes(3 << 29), "1.5 GiB");
    }
}
