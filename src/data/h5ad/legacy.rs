//! What anndata wrote before 0.8: compound tables, `raw.X`, categories in `uns`.
//!
//! Up to 0.6 a table is one compound dataset whose categorical columns are codes, with the list of
//! categories under `uns/<column>_categories`; `obsm` and `varm` are compound datasets of array
//! fields; `raw` is three entries `raw.X`, `raw.var`, `raw.varm`; sparse matrices carry
//! `h5sparse_format`. 0.7 has groups, with the categories in `__categories`, and names no encoding
//! of plain arrays.

use super::read::Reader;
use super::records;
use crate::data::annotated::Entry;
use crate::data::hdf::{Elements, Place, below, elements, encoding, is_group, members, text_attr};
use crate::data::table::{Categorical, CategoryKind};
use crate::data::{Column, Dense, Matrix, Table};
use crate::error::Result;
use hdf5::{File, Group};

const LISTS: &str = "_categories";

/// A table stored as records.
pub(super) fn table(place: &Place, parent: &Group, name: &str) -> Result<Table> {
    let node = below(parent, name);
    let unknown = || place.wrong(&node, "the table is of an unknown kind", "read it with anndata and write it again");
    let dataset = place.dataset(parent, name)?;
    let fields = records::read(place, &dataset)?.ok_or_else(unknown)?;
    let is_index = |name: &str| matches!(name, "index" | "_index");
    let at = fields.iter().position(|f| is_index(&f.name));
    let at = at.or_else(|| fields.iter().position(|f| matches!(f.column, Column::Str(_)))).ok_or_else(unknown)?;
    let mut table = Table::default();
    for (i, field) in fields.into_iter().enumerate() {
        if i == at {
            let column = field.column;
            table.index_name = (!is_index(&field.name)).then_some(field.name);
            table.index = match column {
                Column::Str(texts) => texts,
                other => (0..other.len()).map(|row| other.text(row).unwrap_or_default()).collect(),
            };
        } else if field.width == 1 {
            table.columns.push((field.name, field.column));
        } else {
            return Err(unknown());
        }
    }
    Ok(table)
}

/// `obsm` or `varm` stored as records, one array field per matrix.
pub(super) fn entries(place: &Place, parent: &Group, name: &str) -> Result<Vec<(String, Entry)>> {
    let dataset = place.dataset(parent, name)?;
    let Some(fields) = records::read(place, &dataset)? else {
        let what = "its entries are of an unknown kind";
        return Err(place.wrong(&below(parent, name), what, "read it with anndata and write it again"));
    };
    let mut found = Vec::new();
    for field in fields {
        if let Some(values) = field.column.numbers() {
            let values: Vec<f32> = values.into_iter().map(|v| v as f32).collect();
            let matrix = Dense::new(values.len() / field.width.max(1), field.width, values)?;
            found.push((field.name, Entry::Matrix(Matrix::Dense(matrix))));
        }
    }
    Ok(found)
}

/// Where `raw` is: its group and the names of matrix and table in it.
pub(super) fn raw_names(file: &File) -> Option<(Group, &'static str, &'static str)> {
    if let Ok(group) = file.group("raw") {
        return group.link_exists("X").then_some((group, "X", "var"));
    }
    (file.link_exists("raw.X") && file.link_exists("raw.var"))
        .then(|| Some((file.as_group().ok()?, "raw.X", "raw.var")))?
}

/// Gives columns of codes the categories that stand in `uns`.
pub(super) fn restore_categories(reader: &mut Reader, file: &File, obs: &mut Table, var: &mut Table) -> Result<()> {
    for (table, name) in [(obs, "obs"), (var, "var")] {
        if is_group(file, name) {
            continue;
        }
        let Ok(uns) = file.group("uns") else { return Ok(()) };
        for (name, column) in &mut table.columns {
            let list = format!("{name}{LISTS}");
            let Column::Int(codes) = &*column else { continue };
            if !uns.link_exists(&list) || is_group(&uns, &list) {
                continue;
            }
            let list = reader.place.dataset(&uns, &list)?;
            if elements(&list) != Elements::Text {
                continue;
            }
            let categories = reader.place.texts(&list)?;
            let fits = |code: &i64| *code >= -1 && *code < categories.len() as i64;
            if codes.iter().all(fits) {
                let codes = codes.iter().map(|&code| code as i32).collect();
                let kind = CategoryKind::Str;
                *column = Column::Categorical(Categorical { codes, categories, ordered: false, kind });
            }
        }
    }
    Ok(())
}

/// Names in `uns` that are lists of categories of columns, not content.
pub(super) fn category_lists(file: &File, obs: &Table, var: &Table) -> Vec<String> {
    if is_group(file, "obs") && is_group(file, "var") {
        return Vec::new();
    }
    let Ok(uns) = file.group("uns") else { return Vec::new() };
    let categorical =
        |column: &str| [obs, var].iter().any(|table| matches!(table.get(column), Some(Column::Categorical(_))));
    members(&uns).into_iter().filter(|name| name.strip_suffix(LISTS).is_some_and(categorical)).collect()
}

/// Whether a table is in today's encoding.
pub(super) fn is_current_table(parent: &Group, name: &str) -> bool {
    let current = |group: Group| {
        encoding(&group) == "dataframe" && text_attr(&group, "encoding-version").as_deref() == Some("0.2.0")
    };
    is_group(parent, name) && parent.group(name).is_ok_and(current)
}

/// The parts of the file that are in an old encoding, in words; empty for a file of today.
pub(super) fn parts(file: &File) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for name in members(file) {
        let old = match name.as_str() {
            "obs" | "var" => !is_current_table(file, &name),
            "raw" => !file.group("raw").is_ok_and(|raw| is_current_table(&raw, "var")),
            "raw.X" => true,
            "raw.var" | "raw.varm" => continue,
            "X" if is_group(file, "X") => file.group("X").is_ok_and(|x| encoding(&x).is_empty()),
            "X" => file.dataset("X").is_ok_and(|x| encoding(&x).is_empty()),
            "layers" | "obsm" | "varm" | "obsp" | "varp" | "uns" => {
                !file.group(&name).is_ok_and(|group| encoding(&group) == "dict")
            }
            _ => continue,
        };
        if old {
            found.push(name.replace("raw.X", "raw"));
        }
    }
    found
}
