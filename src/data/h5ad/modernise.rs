//! Old encodings of a file renewed in place, so that today's anndata opens it without a warning.
//!
//! Only what is old is written anew; all else keeps its bytes. What is of an unknown kind stays as
//! it is.

use super::legacy;
use super::read::Reader;
use super::write::Writer;
use crate::data::hdf::{Elements, Place, attribute, elements, encoding, is_group, members, text_attr};
use crate::error::Result;
use hdf5::{File, Group};

/// Renews a file that is open for writing; says which parts that were.
pub(super) fn modernise(place: &Place, writer: &Writer, file: &File) -> Result<Vec<String>> {
    let parts = legacy::parts(file);
    let worker = Worker { place, writer };
    let mut reader = Reader::new(place);
    if !parts.is_empty() {
        worker.tables(&mut reader, file)?;
        worker.raw(&mut reader, file)?;
    }
    let root = file.as_group().map_err(|e| writer.failed(e))?;
    if encoding(&root).is_empty() {
        writer.kind(&root, "anndata", "0.1.0")?;
    }
    for name in members(&root) {
        match name.as_str() {
            "X" => worker.element(&root, "X", 0)?,
            "layers" | "obsm" | "varm" | "obsp" | "varp" | "uns" => {
                worker.records(&root, &name)?;
                worker.element(&root, &name, 0)?;
            }
            "raw" if is_group(&root, "raw") => worker.element(&place.group(&root, "raw")?, "X", 0)?,
            _ => {}
        }
    }
    Ok(parts)
}

struct Worker<'a> {
    place: &'a Place,
    writer: &'a Writer,
}

impl Worker<'_> {
    /// `obs` and `var`, and the lists of categories that they had in `uns`.
    fn tables(&self, reader: &mut Reader, file: &File) -> Result<()> {
        let (old_obs, old_var) = (!legacy::is_current_table(file, "obs"), !legacy::is_current_table(file, "var"));
        let (mut obs, mut var) = (reader.table(file, "obs")?, reader.table(file, "var")?);
        legacy::restore_categories(reader, file, &mut obs, &mut var)?;
        let lists = legacy::category_lists(file, &obs, &var);
        if let Ok(uns) = file.group("uns") {
            lists.iter().try_for_each(|list| self.forget(&uns, list))?;
        }
        for (name, table, old) in [("obs", obs, old_obs), ("var", var, old_var)] {
            if old {
                self.forget(file, name)?;
                self.writer.table(file, name, &table)?;
            }
        }
        Ok(())
    }

    /// `raw.X`, `raw.var` and `raw.varm` into a group; the table of a group renewed.
    fn raw(&self, reader: &mut Reader, file: &File) -> Result<()> {
        let failed = |e| self.writer.failed(e);
        let Some((group, x, var)) = legacy::raw_names(file) else { return Ok(()) };
        if x == "X" {
            if encoding(&group).is_empty() {
                self.writer.kind(&group, "raw", "0.1.0")?;
            }
            if !legacy::is_current_table(&group, var) {
                let table = reader.table(&group, var)?;
                self.forget(&group, var)?;
                self.writer.table(&group, var, &table)?;
            }
            if group.link_exists("varm") {
                self.records(&group, "varm")?;
                self.element(&group, "varm", 0)?;
            }
            return Ok(());
        }
        let table = reader.table(&group, var)?;
        let varm = reader.entries(&group, "raw.varm", table.n_rows())?;
        let raw = file.create_group("raw").map_err(failed)?;
        self.writer.kind(&raw, "raw", "0.1.0")?;
        group.relink(x, "raw/X").map_err(failed)?;
        self.writer.table(&raw, "var", &table)?;
        let target = self.writer.dict(&raw, "varm")?;
        varm.iter().try_for_each(|(name, entry)| self.writer.entry(&target, name, entry))?;
        self.forget(&group, var)?;
        if group.link_exists("raw.varm") { self.forget(&group, "raw.varm") } else { Ok(()) }
    }

    /// `obsm` or `varm` that are one dataset of records become a group.
    fn records(&self, parent: &Group, name: &str) -> Result<()> {
        if is_group(parent, name) {
            return Ok(());
        }
        let found = legacy::entries(self.place, parent, name)?;
        self.forget(parent, name)?;
        let group = self.writer.dict(parent, name)?;
        found.iter().try_for_each(|(name, entry)| self.writer.entry(&group, name, entry))
    }

    /// Names the encoding of an element that does not, and of all below it.
    fn element(&self, parent: &Group, name: &str, depth: usize) -> Result<()> {
        if depth > 64 {
            return Ok(());
        }
        if !is_group(parent, name) {
            let Ok(dataset) = parent.dataset(name) else { return Ok(()) };
            if !encoding(&dataset).is_empty() {
                return Ok(());
            }
            let scalar = dataset.shape().is_empty();
            return match elements(&dataset) {
                Elements::Text if scalar => self.writer.kind(&dataset, "string", "0.2.0"),
                Elements::Text => self.writer.kind(&dataset, "string-array", "0.2.0"),
                Elements::Other if crate::data::hdf::is_compound(&dataset) => {
                    self.writer.kind(&dataset, "rec-array", "0.2.0")
                }
                Elements::Other => Ok(()),
                _ if scalar => self.writer.kind(&dataset, "numeric-scalar", "0.2.0"),
                _ => self.writer.kind(&dataset, "array", "0.2.0"),
            };
        }
        let group = self.place.group(parent, name)?;
        match (encoding(&group).as_str(), text_attr(&group, "h5sparse_format")) {
            ("", Some(format)) => self.sparse(&group, &format),
            ("", None) => {
                self.writer.kind(&group, "dict", "0.1.0")?;
                members(&group).iter().try_for_each(|member| self.element(&group, member, depth + 1))
            }
            ("dict", _) => members(&group).iter().try_for_each(|member| self.element(&group, member, depth + 1)),
            ("dataframe", _) if !legacy::is_current_table(parent, name) => {
                let table = Reader::new(self.place).table(parent, name)?;
                self.forget(parent, name)?;
                self.writer.table(parent, name, &table)
            }
            _ => Ok(()),
        }
    }

    fn sparse(&self, group: &Group, format: &str) -> Result<()> {
        let failed = |e| self.writer.failed(e);
        let shape = attribute(group, "h5sparse_shape").and_then(|a| a.read_raw::<i64>()).map_err(failed)?;
        self.writer.kind(group, &format!("{format}_matrix"), "0.1.0")?;
        let attr = group.new_attr::<i64>().shape([shape.len()]).create("shape");
        attr.and_then(|a| a.write_raw(&shape)).map_err(failed)?;
        for name in ["h5sparse_format", "h5sparse_shape"] {
            group.delete_attr(name).map_err(failed)?;
        }
        Ok(())
    }

    fn forget(&self, group: &Group, name: &str) -> Result<()> {
        group.unlink(name).map_err(|e| self.writer.failed(e))
    }
}
