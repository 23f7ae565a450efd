//! Results added to a copy of a file, so that nothing that was there is lost.
//!
//! All cells: the file's bytes are copied, old encodings renewed (see `modernise`) and the new
//! columns written into the copy; what we do not understand survives. Some cells (`--where`): see
//! `subset`. Either way the copy gets its name only when it is complete, so source and target may be
//! the same file.

use super::legacy;
use super::modernise::modernise;
use super::read::Reader;
use super::subset;
use super::write::{Draft, Writer};
use crate::data::annotated::{Entry, Value};
use crate::data::hdf::{Place, members, text_attr, texts_attr};
use crate::data::{Column, Table};
use crate::error::{Error, Result};
use hdf5::{File, Group};
use std::path::Path;

/// What to add; a name that exists is replaced.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Additions {
    /// One value per cell of the result.
    pub obs: Vec<(String, Column)>,
    /// One row per cell of the result.
    pub obsm: Vec<(String, Entry)>,
    /// Keys at the top of `uns`.
    pub uns: Vec<(String, Value)>,
}

/// Writes a copy of `source` with `additions` to `target`; of the given cells only, if `rows` are
/// given (in file order, no repeats). Returns the parts of an old file that were converted.
///
/// # Errors
/// As [`super::read`] for the source, as [`super::write`] for the target; `Error::Shape` if an
/// addition has another length than the cells. On any error `target` is as it was.
pub fn add_to_copy(source: &Path, target: &Path, additions: &Additions, rows: Option<&[usize]>) -> Result<Vec<String>> {
    let place = Place::new(source);
    let original = place.open()?;
    let draft = Draft::new(target)?;
    let writer = draft.writer();
    let old = !legacy::parts(&original).is_empty();
    let mut converted = Vec::new();
    let copy = match rows {
        Some(rows) if old => {
            // Renewed first, so that choosing cells meets today's encodings only.
            let whole = Draft::new(target)?;
            let renewer = whole.writer();
            let renewed = copied(source, target, &whole, &renewer)?;
            converted = modernise(&place, &renewer, &renewed)?;
            // What this file could not take would be read back as zeros.
            renewed.flush().map_err(|e| renewer.failed(e))?;
            renewer.check()?;
            let copy = draft.create()?;
            subset::copy_rows(&place, &renewed, &writer, &copy, rows)?;
            copy
        }
        Some(rows) => {
            let copy = draft.create()?;
            subset::copy_rows(&place, &original, &writer, &copy, rows)?;
            copy
        }
        None => {
            let copy = copied(source, target, &draft, &writer)?;
            if old {
                converted = modernise(&place, &writer, &copy)?;
            }
            copy
        }
    };
    drop(original);
    add(&place, &copy, &writer, additions)?;
    draft.finish(copy)?;
    Ok(converted)
}

/// The bytes of `source` in the draft's place, open for changes.
fn copied(source: &Path, target: &Path, draft: &Draft, writer: &Writer) -> Result<File> {
    // Not fs::copy: the copy must not inherit a read-only mode.
    let mut from = std::fs::File::open(source).map_err(|e| Error::io(source, "reading", e))?;
    let to = std::fs::OpenOptions::new().write(true).truncate(true).open(&draft.temporary);
    to.and_then(|mut to| std::io::copy(&mut from, &mut to)).map_err(|e| Error::io(target, "writing", e))?;
    Place::open_for_changes(&draft.temporary).map_err(|e| writer.failed(e))
}

fn add(place: &Place, file: &File, writer: &Writer, additions: &Additions) -> Result<()> {
    add_columns(place, file, writer, &additions.obs)?;
    let n_obs = n_rows(place, file)?;
    for (name, entry) in &additions.obsm {
        let [n, _] = entry.shape();
        expect_length(&format!("obsm \"{name}\""), n_obs, n)?;
        let group = dict(writer, file, "obsm")?;
        forget(writer, &group, name)?;
        writer.entry(&group, name, entry)?;
    }
    for (name, value) in &additions.uns {
        let group = dict(writer, file, "uns")?;
        forget(writer, &group, name)?;
        writer.value(&group, name, value)?;
    }
    Ok(())
}

fn add_columns(place: &Place, file: &File, writer: &Writer, columns: &[(String, Column)]) -> Result<()> {
    let n = n_rows(place, file)?;
    for (name, column) in columns {
        expect_length(&format!("obs column \"{name}\""), n, column.len())?;
    }
    let current = file.group("obs").ok().filter(|_| legacy::is_current_table(file, "obs"));
    let Some(group) = current else {
        // An older table cannot hold columns of today's kinds: write it anew as a whole.
        let mut table = read_obs(place, file)?;
        for (name, column) in columns {
            table.set(name, column.clone())?;
        }
        forget(writer, file, "obs")?;
        return writer.table(file, "obs", &table);
    };
    let mut order = texts_attr(&group, "column-order").unwrap_or_default();
    for (name, column) in columns {
        forget(writer, &group, name)?;
        writer.column(&group, name, column)?;
        if !order.contains(name) {
            order.push(name.clone());
        }
    }
    writer.texts_attr(&group, "column-order", &order)
}

fn read_obs(place: &Place, file: &File) -> Result<Table> {
    Reader::new(place).table(file, "obs")
}

fn n_rows(place: &Place, file: &File) -> Result<usize> {
    if let Ok(group) = file.group("obs")
        && let Some(index) = text_attr(&group, "_index")
        && let Ok(dataset) = group.dataset(&index)
    {
        return Ok(dataset.size());
    }
    read_obs(place, file).map(|table| table.n_rows())
}

fn expect_length(what: &str, expected: usize, found: usize) -> Result<()> {
    if expected == found {
        return Ok(());
    }
    Err(Error::Shape { op: "add to h5ad", expected: format!("{expected} rows in {what}"), found: format!("{found}") })
}

fn dict(writer: &Writer, file: &File, name: &str) -> Result<Group> {
    match file.group(name) {
        Ok(group) => Ok(group),
        Err(_) => writer.dict(file, name),
    }
}

fn forget(writer: &Writer, group: &Group, name: &str) -> Result<()> {
    if members(group).iter().any(|member| member == name) {
        return group.unlink(name).map_err(|e| writer.failed(e));
    }
    Ok(())
}
