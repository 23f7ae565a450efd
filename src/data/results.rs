//! Results beside what was there: a copy of an h5ad file with additions, a new h5ad file for a query
//! of any other format.
//!
//! May use: `error`, `paths`, the readers and the writer.
#![forbid(unsafe_code)]

use super::annotated::Dataset;
use super::blocks::{Blocks, Chosen, RowBlocks};
use super::csr::Csr;
use super::format::{Format, detect};
use super::h5ad::{self, Additions, Stepwise};
use super::memory::Memory;
use super::source;
use crate::error::{Error, Result};
use crate::paths;
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// Fails if a result at `target` would take the place of more of `source` than it holds: of the cells
/// that `--where` leaves out (`chosen`), or of a file of another format.
///
/// # Errors
/// `Error::Usage`.
pub fn check_target(source: &Path, target: &Path, chosen: bool) -> Result<()> {
    if !paths::same(source, target) {
        return Ok(());
    }
    let shown = target.display();
    if chosen {
        let what = format!("{shown} is both input and output, and the cells that --where leaves out would be lost");
        return Err(Error::usage(what, "give -o another path"));
    }
    if source.is_dir() || detect(source)? != Format::H5ad {
        let what = format!("{shown} is both input and output, and the output is h5ad, which the input is not");
        return Err(Error::usage(what, "give -o another path"));
    }
    Ok(())
}

/// Writes `additions` beside the content of `source` to the h5ad file `target`; of the given cells
/// only, if `rows` are given (ascending, no repeats). Returns what had to be changed, in words.
///
/// # Errors
/// As [`source::open`] and [`h5ad::add_to_copy`]; `target` is then as it was.
pub fn write(source: &Path, target: &Path, additions: &Additions, rows: Option<&[usize]>) -> Result<Vec<String>> {
    write_within(source, target, additions, rows, Memory::default())
}

/// The same with matrices in blocks that `memory` allows.
///
/// # Errors
/// As [`write()`]; `Error::Data` for a matrix that has to be in memory as a whole and does not fit.
pub fn write_within(
    source: &Path,
    target: &Path,
    additions: &Additions,
    rows: Option<&[usize]>,
    memory: Memory,
) -> Result<Vec<String>> {
    if detect(source)? == Format::H5ad {
        let converted = h5ad::add_to_copy(source, target, additions, rows)?;
        return Ok(if converted.is_empty() {
            Vec::new()
        } else {
            vec![format!("{}: old encodings renewed in {}", target.display(), converted.join(", "))]
        });
    }
    let opened = source::open(source)?;
    let mut notes = Vec::new();
    let mut frame = opened.frame()?;
    if let Some(rows) = rows {
        frame = frame.select_obs(rows);
    }
    notes.extend(make_unique(&mut frame));
    if !frame.skipped.is_empty() {
        notes.push(format!("{}: not taken over: {}", opened.name(), frame.skipped.join(", ")));
    }
    for (name, column) in &additions.obs {
        frame.obs.set(name, column.clone())?;
    }
    let n = frame.n_obs();
    for (name, entry) in &additions.obsm {
        let [found, _] = entry.shape();
        if found != n {
            let expected = format!("{n} rows in obsm \"{name}\"");
            return Err(Error::Shape { op: "add results", expected, found: format!("{found}") });
        }
        replace(&mut frame.obsm, name, entry.clone());
    }
    for (name, value) in &additions.uns {
        replace(&mut frame.uns, name, value.clone());
    }
    let mut file = Stepwise::new(target)?;
    for stored in opened.matrices() {
        let blocks = Blocks::new(opened.as_ref(), &stored.which, memory)?;
        let mut matrix = file.matrix(&stored.which, stored.n_cols)?;
        let push = &mut |_, block: &Csr| matrix.push(block);
        match rows {
            Some(rows) => Chosen::new(&blocks, rows).pass(push)?,
            None => blocks.pass(push)?,
        }
        matrix.finish()?;
    }
    file.finish(&frame)?;
    notes.insert(0, format!("{}: {} written as h5ad", target.display(), opened.format()));
    Ok(notes)
}

/// Makes repeated names of genes and cells unique with `-1`, `-2`, as anndata does; the names as
/// they were stay in the column `original_name`. Says so.
pub fn make_unique(dataset: &mut Dataset) -> Vec<String> {
    let source = dataset.source.clone();
    let mut notes = Vec::new();
    for (table, what) in [(&mut dataset.var, "gene"), (&mut dataset.obs, "cell")] {
        let before = table.index.clone();
        let changed = unique(&mut table.index);
        if changed > 0 {
            notes.push(format!("{source}: {changed} repeated {what} names were given numbers, as in NAME-1"));
            // A column that is there already has the names of an earlier time.
            if table.get("original_name").is_none() {
                table.columns.push(("original_name".into(), super::Column::Str(before)));
            }
        }
    }
    notes
}

fn unique(names: &mut [String]) -> usize {
    let taken: HashSet<String> = names.iter().cloned().collect();
    let mut seen: HashSet<String> = HashSet::with_capacity(names.len());
    let mut last: HashMap<String, usize> = HashMap::new();
    let mut changed = 0;
    for name in names.iter_mut() {
        if seen.insert(name.clone()) {
            continue;
        }
        let number = last.entry(name.clone()).or_default();
        let fresh = loop {
            *number += 1;
            let candidate = format!("{name}-{number}");
            if !taken.contains(&candidate) && !seen.contains(&candidate) {
                break candidate;
            }
        };
        seen.insert(fresh.clone());
        *name = fresh;
        changed += 1;
    }
    changed
}

fn replace<T>(list: &mut Vec<(String, T)>, name: &str, value: T) {
    match list.iter_mut().find(|(n, _)| n == name) {
        Some((_, old)) => *old = value,
        None => list.push((name.into(), value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_names_get_numbers_that_are_free() {
        let mut names: Vec<String> = ["a", "b", "a", "a-1", "a"].map(String::from).to_vec();
        assert_eq!(unique(&mut names), 2);
        assert_eq!(names, ["a", "b", "a-2", "a-1", "a-3"]);
    }
}
