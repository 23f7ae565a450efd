//! What a file is, as far as a person or a pipeline wants to know before using it.
//!
//! May use: `error`, the readers, `check`, `names`, `columns`. Matrices are read in blocks.
#![forbid(unsafe_code)]

use super::blocks::Blocks;
use super::check::{self, Content, Description, Names};
use super::columns::{self, Candidate};
use super::memory::Memory;
use super::names::gene_names;
use super::source::{Source, Stored, Which};
use super::table::{Column, Table, list_names};
use crate::error::Result;
use serde::Serialize;
use std::collections::BTreeMap;

/// A file at a glance.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Overview {
    /// Its name.
    pub file: String,
    /// What it is, in words.
    pub format: String,
    /// What the reader decided or left out.
    pub notes: Vec<String>,
    /// Number of cells.
    pub cells: usize,
    /// Number of genes.
    pub genes: usize,
    /// Its matrices, `X` first.
    pub matrices: Vec<MatrixReport>,
    /// How genes are named, by the index and by each column that names them.
    pub gene_names: Vec<NameReport>,
    /// The species that the names tell.
    pub species: Option<String>,
    /// Columns of obs that may say what each cell is.
    pub likely_labels: Vec<Candidate>,
    /// Columns of obs that may say how cells were measured.
    pub likely_batches: Vec<Candidate>,
    /// Columns of obs.
    pub obs: Vec<ColumnReport>,
    /// Columns of var.
    pub var: Vec<ColumnReport>,
    /// Everything else, by part: `obsm`, `varm`, `obsp`, `uns`.
    pub others: BTreeMap<String, Vec<Extra>>,
    /// What is wrong, each in one line.
    pub problems: Vec<String>,
    /// What can be done with it.
    pub uses: Vec<Use>,
}

/// One matrix.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MatrixReport {
    /// `X`, `layer counts`, `raw`.
    pub name: String,
    /// As in the file: `csr`, `csc`, `dense`, `coordinates`, `text`.
    pub storage: String,
    /// Its elements in numpy's words.
    pub dtype: String,
    /// Cells and genes.
    pub shape: [usize; 2],
    /// Entries that are not 0.
    pub nonzero: usize,
    /// Their share.
    pub density: f64,
    /// The smallest value, zeros included.
    pub min: f32,
    /// The largest value.
    pub max: f32,
    /// What its values are, in words.
    pub content: String,
    /// Why.
    pub evidence: String,
    /// The total that cells were scaled to, where they were.
    pub target_sum: Option<f64>,
    /// Whether they are counts.
    pub counts: bool,
    /// Cells with nothing but zeros.
    pub empty_cells: usize,
}

/// One list of gene names.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NameReport {
    /// `var_names` or the column.
    pub of: String,
    /// What kind of names they are.
    pub kind: String,
    /// Whose genes they look like.
    pub species: Option<String>,
    /// Why.
    pub evidence: String,
}

/// One column of a table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ColumnReport {
    /// Its name.
    pub name: String,
    /// The kind of its entries.
    pub kind: String,
    /// Rows without an entry.
    pub missing: usize,
    /// Of numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<[f64; 2]>,
    /// Of everything else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n_levels: Option<usize>,
    /// The most frequent, with their cells; empty where every row has its own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub levels: Vec<(String, usize)>,
}

/// Something beside matrices and tables.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Extra {
    /// Its name.
    pub name: String,
    /// Its size along each axis, where it has any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shape: Vec<usize>,
}

/// Whether a command can use the file as it is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Use {
    /// `train clams`, `annotate`, `preprocess`, ...
    pub command: String,
    /// Whether it can.
    pub ready: bool,
    /// The options to give, or what is missing.
    pub how: String,
}

/// How many levels of a column are named.
const LEVELS: usize = 12;

impl Overview {
    /// Looks at all of a file.
    ///
    /// # Errors
    /// As [`Source::rows`].
    pub fn new(source: &dyn Source) -> Result<Overview> {
        Overview::within(source, Memory::default())
    }

    /// Looks at all of a file, in blocks that `memory` allows.
    ///
    /// # Errors
    /// As [`Blocks::new`] and [`Source::rows`].
    pub fn within(source: &dyn Source, memory: Memory) -> Result<Overview> {
        let (obs, var) = (source.obs(), source.var(&Which::X));
        let (mut matrices, mut problems, mut seen) = (Vec::new(), Vec::new(), Vec::new());
        for stored in source.matrices() {
            let described = check::describe_blocks(&Blocks::new(source, &stored.which, memory)?)?;
            let name = match &stored.which {
                Which::X => "X".to_owned(),
                Which::Layer(name) => format!("layer {name}"),
                Which::Raw => "raw".to_owned(),
            };
            problems.extend(faults(source, &stored.which, &name, &described));
            matrices.push(report(&name, stored, &described));
            seen.push((stored.which.clone(), described));
        }
        for (kind, names) in [("cell", &obs.index), ("gene", &var.index)] {
            problems.extend(check::require_unique(names, kind, kind).err().map(|e| e.to_string()));
        }
        let gene_names = name_reports(var);
        let species = gene_names.iter().find_map(|n| n.species.clone());
        let likely_labels = columns::labels(obs);
        problems.extend(trainable(&likely_labels).into_iter().flat_map(untrainable).map(|(problem, _)| problem));
        Ok(Overview {
            file: source.name().into(),
            format: source.format().into(),
            notes: source.notes().to_vec(),
            cells: obs.n_rows(),
            genes: var.n_rows(),
            uses: uses(source, &seen, &likely_labels, obs),
            matrices,
            gene_names,
            species,
            likely_labels,
            likely_batches: columns::batches(obs),
            obs: obs.columns.iter().map(|(name, column)| column_report(name, column)).collect(),
            var: var.columns.iter().map(|(name, column)| column_report(name, column)).collect(),
            others: source.extras(),
            problems,
        })
    }
}

fn report(name: &str, stored: &Stored, seen: &Description) -> MatrixReport {
    let entries = stored.n_rows as f64 * stored.n_cols as f64;
    let target_sum = match seen.content {
        Content::Normalised { target } | Content::Log1p { target } => target,
        _ => None,
    };
    MatrixReport {
        name: name.into(),
        storage: stored.storage.into(),
        dtype: stored.dtype.clone(),
        shape: [stored.n_rows, stored.n_cols],
        nonzero: seen.nonzero,
        density: if entries > 0.0 { seen.nonzero as f64 / entries } else { 0.0 },
        min: seen.range.0,
        max: seen.range.1,
        content: seen.content.name().into(),
        evidence: seen.evidence.clone(),
        target_sum,
        counts: seen.content == Content::Counts,
        empty_cells: seen.empty_cells.len(),
    }
}

fn faults(source: &dyn Source, which: &Which, name: &str, seen: &Description) -> Vec<String> {
    let names = Names { place: name, cells: &source.obs().index, genes: &source.var(which).index };
    let judged = [
        check::require_filled(seen, names),
        check::require_finite(seen, names),
        check::require_no_empty_cells(seen, names),
    ];
    // An empty matrix needs no list of its empty cells.
    let most = if seen.content == Content::Empty { 1 } else { judged.len() };
    judged.into_iter().filter_map(Result::err).map(|e| e.to_string()).take(most).collect()
}

fn name_reports(var: &Table) -> Vec<NameReport> {
    let report = |of: &str, names: &[String]| {
        let found = gene_names(names);
        NameReport {
            of: of.into(),
            kind: found.kind.name().into(),
            species: found.species.map(str::to_owned),
            evidence: found.evidence,
        }
    };
    let mut reports = vec![report("var_names", &var.index)];
    for (name, column) in &var.columns {
        if let Column::Str(_) | Column::Categorical(_) | Column::NullableStr { .. } = column {
            let texts: Vec<String> = (0..column.len()).map(|row| column.text(row).unwrap_or_default()).collect();
            let found = report(name, &texts);
            if found.kind != super::names::IdKind::Unknown.name() {
                reports.push(found);
            }
        }
    }
    reports
}

fn column_report(name: &str, column: &Column) -> ColumnReport {
    let texts: Vec<String> = (0..column.len()).filter_map(|row| column.text(row)).collect();
    let missing = column.len() - texts.len();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    texts.iter().for_each(|text| *counts.entry(text).or_default() += 1);
    let whole = matches!(column, Column::Int(_) | Column::NullableInt { .. });
    let mut report = ColumnReport {
        name: name.into(),
        kind: column.kind().into(),
        missing,
        range: None,
        n_levels: None,
        levels: vec![],
    };
    match column.numbers() {
        Some(numbers) if !whole || counts.len() > LEVELS => {
            let finite = || numbers.iter().copied().filter(|v| v.is_finite());
            if finite().next().is_some() {
                let ends = (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max));
                report.range = Some([ends.0, ends.1]);
            }
        }
        _ => {
            report.n_levels = Some(counts.len());
            let mut ranked: Vec<(String, usize)> = counts.into_iter().map(|(text, n)| (text.to_owned(), n)).collect();
            ranked.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
            // Names of cells and the like say nothing.
            if ranked.first().is_some_and(|(_, n)| *n > 1) {
                ranked.truncate(LEVELS);
                report.levels = ranked;
            }
        }
    }
    report
}

/// The column that is proposed for training.
fn trainable(labels: &[Candidate]) -> Option<&Candidate> {
    labels.iter().find(|c| c.n_levels >= 2)
}

/// What training refuses in a column of labels, and the options that leave it out.
fn untrainable(labels: &Candidate) -> Vec<(String, String)> {
    let column = &labels.column;
    let mut list = Vec::new();
    if labels.missing > 0 {
        let option = format!("--where '{column}!='");
        let what = format!("obs column \"{column}\": {} cells have no label", labels.missing);
        list.push((format!("{what}, which train refuses; leave them out with {option}"), option));
    }
    let lonely: Vec<&str> = labels.levels.iter().filter(|(_, n)| *n == 1).map(|(label, _)| label.as_str()).collect();
    if !lonely.is_empty() {
        let option = lonely.iter().map(|label| format!("--hold-out \"{label}\"")).collect::<Vec<_>>().join(" ");
        let (classes, them) = if lonely.len() == 1 { ("class", "it") } else { ("classes", "them") };
        let what =
            format!("obs column \"{column}\": {classes} {} of one cell, which train refuses", list_names(&lonely));
        list.push((format!("{what}; leave {them} out with {option}"), option));
    }
    list
}

/// Which commands can use the file as it is, and with which matrix.
fn uses(source: &dyn Source, seen: &[(Which, Description)], labels: &[Candidate], obs: &Table) -> Vec<Use> {
    let option = |which: &Which| match which {
        Which::X => String::new(),
        Which::Layer(name) => format!("--layer {name}"),
        Which::Raw => "--layer raw".to_owned(),
    };
    let find = |test: fn(&Description) -> bool| seen.iter().find(|(_, d)| test(d)).map(|(which, _)| option(which));
    let counts = find(|d| d.content == Content::Counts);
    let expression = |d: &Description| {
        matches!(d.content, Content::Counts | Content::Normalised { .. } | Content::Log1p { .. } | Content::Fractional)
    };
    let usable = counts.clone().or_else(|| find(expression));
    let none = "no matrix holds counts or log-normalised values".to_owned();
    let trainable = trainable(labels);
    let mut list = Vec::new();
    for model in ["clams", "jem", "resnet"] {
        let how = match (&usable, trainable) {
            (None, _) => Err(none.clone()),
            (Some(_), None) => Err("no column of obs looks like labels; give yours with --label-key".into()),
            (Some(layer), Some(label)) => {
                let mut options = vec![format!("--label-key \"{}\"", label.column)];
                options.extend(untrainable(label).into_iter().map(|(_, option)| option));
                options.extend(Some(layer.clone()).filter(|layer| !layer.is_empty()));
                Ok(options.join(" "))
            }
        };
        list.push((format!("train {model}"), how));
    }
    list.push(("annotate".into(), usable.ok_or(none)));
    list.push(("preprocess".into(), counts.ok_or_else(|| "no matrix holds counts".to_owned())));
    let annotated = source.format() == "h5ad" && obs.get("cytograd_label").is_some();
    list.push(("evaluate".into(), if annotated { Ok("--truth COL".into()) } else { Err("not annotated yet".into()) }));
    list.into_iter()
        .map(|(command, how)| Use { command, ready: how.is_ok(), how: how.unwrap_or_else(|why| why) })
        .collect()
}
