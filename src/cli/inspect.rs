//! `cytograd inspect`: what a file is.

use super::{Session, output};
use crate::data::columns::Candidate;
use crate::data::overview::{ColumnReport, MatrixReport, Overview};
use crate::error::Result;
use std::fmt::Write;
use std::path::PathBuf;

/// Show what a file is: format, matrices, counts or not, gene names, columns, problems, uses
///
/// Reads h5ad, 10x HDF5 and MatrixMarket folders, loom, CSV and TSV (gzip-compressed or not); the
/// content tells which, not the name.
#[derive(clap::Args)]
pub struct Args {
    /// A file or a 10x folder
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

pub fn run(args: &Args, session: &mut Session) -> Result<()> {
    let memory = session.common.memory();
    let source = crate::data::source::open_within(&args.file, memory)?;
    let overview = Overview::within(source.as_ref(), memory)?;
    if session.common.json {
        return output::print_json(&output::to_json(&overview)?);
    }
    output::print(&text(&overview))
}

/// How many levels of a likely label are shown by name.
const LEVELS: usize = 12;

fn text(o: &Overview) -> String {
    let mut out = format!("{}: {}, {} cells x {} genes\n", o.file, o.format, o.cells, o.genes);
    let mut line = |key: &str, value: &str| {
        // Writing to a String does not fail.
        let _ = writeln!(out, "{key:<14}{value}");
    };
    o.notes.iter().for_each(|note| line("note", note));
    for m in &o.matrices {
        line(&m.name, &matrix(m));
        line("", &m.evidence);
    }
    for names in &o.gene_names {
        let species = names.species.as_ref().map_or(String::new(), |s| format!(", {s}"));
        line("gene names", &format!("{}: {}{species} ({})", names.of, names.kind, names.evidence));
    }
    o.likely_labels.iter().for_each(|c| line("labels?", &candidate(c)));
    o.likely_batches.iter().for_each(|c| line("batches?", &candidate(c)));
    for (part, columns) in [("obs", &o.obs), ("var", &o.var)] {
        columns.iter().for_each(|c| line(part, &column(c)));
    }
    for (part, list) in &o.others {
        let shown: Vec<String> = list
            .iter()
            .map(|extra| match extra.shape[..] {
                [_, columns] if part == "obsm" || part == "varm" => format!("{} ({columns} columns)", extra.name),
                _ => extra.name.clone(),
            })
            .collect();
        line(part, &shown.join(", "));
    }
    o.problems.iter().for_each(|problem| line("problem", problem));
    for u in &o.uses {
        let ready = if u.ready { "yes" } else { "no" };
        let how = if u.how.is_empty() { String::new() } else { format!(", {}", u.how) };
        line("usable by", &format!("{}: {ready}{how}", u.command));
    }
    out
}

fn matrix(m: &MatrixReport) -> String {
    format!(
        "{} {}, {} x {}, {:.1} % non-zero, {}, values {} to {}",
        m.storage,
        m.dtype,
        m.shape[0],
        m.shape[1],
        100.0 * m.density,
        m.content,
        number(f64::from(m.min)),
        number(f64::from(m.max))
    )
}

/// As few digits as say it.
fn number(v: f64) -> String {
    if v.fract() == 0.0 && v.abs() < 1e15 { format!("{v:.0}") } else { format!("{v:.4}") }
}

fn candidate(c: &Candidate) -> String {
    let missing = if c.missing > 0 { format!(", {} missing", c.missing) } else { String::new() };
    format!("{}: {} levels{missing}: {}", c.column, c.n_levels, levels(&c.levels, c.n_levels))
}

fn levels(levels: &[(String, usize)], all: usize) -> String {
    let shown: Vec<String> = levels.iter().take(LEVELS).map(|(text, n)| format!("{text} {n}")).collect();
    let more = if all > shown.len() { ", ..." } else { "" };
    format!("{}{more}", shown.join(", "))
}

fn column(c: &ColumnReport) -> String {
    let mut line = format!("{}: {}", c.name, c.kind);
    if let Some(n) = c.n_levels {
        line += &format!(", {n} levels");
    }
    if let Some([low, high]) = c.range {
        line += &format!(", {} to {}", number(low), number(high));
    }
    if c.missing > 0 {
        line += &format!(", {} missing", c.missing);
    }
    if !c.levels.is_empty() {
        line += &format!(": {}", levels(&c.levels, c.n_levels.unwrap_or(0)));
    }
    line
}
