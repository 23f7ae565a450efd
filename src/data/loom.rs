//! Loom files: a dense matrix of genes x cells in HDF5, with attributes of both (loompy 2 and 3).
//!
//! May use: `error`, `hdf`, the data types. Cells are columns of the file, so some cells are a band
//! of all its rows. Values become sparse.
#![forbid(unsafe_code)]

use super::annotated::{Dataset, Entry, missing_layer};
use super::csr::{Csr, CsrBuilder};
use super::hdf::{DAMAGED, Elements, Place, dtype_name, elements, is_numeric, members};
use super::matrix::{Dense, Matrix};
use super::overview::Extra;
use super::source::{RowSizes, Source, Stored, Which, check_rows};
use super::table::{Column, Table};
use crate::error::Result;
use hdf5::{File, Group};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

/// Values read at a time.
const BLOCK: usize = 1 << 24;

/// A loom file, opened for reading.
pub struct Loom {
    place: Place,
    file: File,
    name: String,
    obs: Table,
    var: Table,
    obsm: Vec<(String, Entry)>,
    varm: Vec<(String, Entry)>,
    stored: Vec<Stored>,
    notes: Vec<String>,
    skipped: Vec<String>,
}

impl Loom {
    /// Reads the attributes of a file.
    ///
    /// # Errors
    /// `Error::Format` if it is damaged or inconsistent.
    pub(super) fn of(path: &Path, file: File) -> Result<Loom> {
        let place = Place::new(path);
        let matrix = place.dataset(&file, "matrix")?;
        let [n_genes, n_cells] = matrix.shape()[..] else {
            return Err(place.wrong("/matrix", format!("has shape {:?}", matrix.shape()), DAMAGED));
        };
        if !is_numeric(&matrix) {
            return Err(place.wrong("/matrix", "expected numbers", DAMAGED));
        }
        place.check_size::<u8>(&matrix)?;
        let mut attributes = Attributes { place: &place, skipped: Vec::new(), notes: Vec::new() };
        let cell_names = ["CellID", "obs_names", "cell_names", "barcode", "barcodes", "Barcode", "cell_id"];
        let gene_names = ["Gene", "var_names", "gene_names", "gene", "Genes", "GeneName", "Symbol", "Accession"];
        let (obs, obsm) = attributes.read(&file, "col_attrs", n_cells, &cell_names, "cell")?;
        let (var, varm) = attributes.read(&file, "row_attrs", n_genes, &gene_names, "gene")?;
        let Attributes { mut skipped, mut notes, .. } = attributes;
        let stored = |which: Which, dataset: &hdf5::Dataset| Stored {
            which,
            n_rows: n_cells,
            n_cols: n_genes,
            storage: "dense",
            dtype: dtype_name(dataset),
            entries: None,
        };
        let mut all = vec![stored(Which::X, &matrix)];
        if let Ok(group) = file.group("layers") {
            for name in members(&group) {
                let layer = place.dataset(&group, &name)?;
                if layer.shape() != [n_genes, n_cells] || !is_numeric(&layer) {
                    let what = format!("has shape {:?}, the matrix {n_genes} x {n_cells}", layer.shape());
                    return Err(place.wrong(&layer.name(), what, DAMAGED));
                }
                all.push(stored(Which::Layer(name), &layer));
            }
        }
        for part in ["row_graphs", "col_graphs"] {
            if let Ok(group) = file.group(part) {
                skipped.extend(members(&group).iter().map(|name| format!("{part}/{name}")));
            }
        }
        if !skipped.is_empty() {
            notes.push(format!("not read: {}", skipped.join(", ")));
        }
        Ok(Loom { name: place.name(), obs, var, obsm, varm, stored: all, notes, skipped, place, file })
    }

    /// The band of some cells as cells x genes.
    fn band(&self, matrix: &hdf5::Dataset, cells: &Range<usize>) -> Result<Csr> {
        let n_genes = self.var.n_rows();
        let mut by_gene = CsrBuilder::new(cells.len(), 0);
        let genes_at_once = (BLOCK / cells.len().max(1)).clamp(1, n_genes.max(1));
        let mut gene = 0;
        while gene < n_genes {
            let end = (gene + genes_at_once).min(n_genes);
            let values = self.place.block(matrix, gene..end, cells.clone())?;
            for row in 0..end - gene {
                let row = &values[row * cells.len()..(row + 1) * cells.len()];
                by_gene.push_row(row.iter().enumerate().filter(|(_, v)| **v != 0.0).map(|(c, &v)| (c as u32, v)));
            }
            gene = end;
        }
        Ok(by_gene.finish().transpose())
    }
}

impl Source for Loom {
    fn format(&self) -> &str {
        "loom"
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn notes(&self) -> &[String] {
        &self.notes
    }

    fn obs(&self) -> &Table {
        &self.obs
    }

    fn var(&self, _: &Which) -> &Table {
        &self.var
    }

    fn matrices(&self) -> &[Stored] {
        &self.stored
    }

    fn rows(&self, which: &Which, rows: Range<usize>) -> Result<Matrix> {
        check_rows(self, &rows)?;
        let matrix = match which {
            Which::X => self.place.dataset(&self.file, "matrix")?,
            Which::Layer(name) if self.stored.iter().any(|s| s.which == *which) => {
                self.place.dataset(&self.place.group(&self.file, "layers")?, name)?
            }
            other => return Err(missing_layer(&self.name, &other.to_string(), &[])),
        };
        self.band(&matrix, &rows).map(Matrix::Csr)
    }

    fn extras(&self) -> BTreeMap<String, Vec<Extra>> {
        let mut found = BTreeMap::new();
        for (part, entries) in [("obsm", &self.obsm), ("varm", &self.varm)] {
            if !entries.is_empty() {
                let list =
                    entries.iter().map(|(name, e)| Extra { name: name.clone(), shape: e.shape().to_vec() }).collect();
                found.insert(part.to_owned(), list);
            }
        }
        found
    }

    fn row_sizes(&self, _: &Which) -> Result<RowSizes> {
        Ok(RowSizes::Even(self.var.n_rows()))
    }

    fn frame(&self) -> Result<Dataset> {
        let zeros = Csr::zeros(self.obs.n_rows(), self.var.n_rows());
        let mut dataset = Dataset::new(Matrix::Csr(zeros), self.obs.clone(), self.var.clone())?;
        dataset.source.clone_from(&self.name);
        dataset.obsm.clone_from(&self.obsm);
        dataset.varm.clone_from(&self.varm);
        dataset.skipped.clone_from(&self.skipped);
        Ok(dataset)
    }
}

struct Attributes<'a> {
    place: &'a Place,
    skipped: Vec<String>,
    notes: Vec<String>,
}

impl Attributes<'_> {
    /// The attributes of one axis: the first of `index_names` names it, the rest are columns.
    fn read(
        &mut self,
        file: &Group,
        part: &str,
        n: usize,
        index_names: &[&str],
        what: &str,
    ) -> Result<(Table, Vec<(String, Entry)>)> {
        let names = file.group(part).map(|g| members(&g)).unwrap_or_default();
        let index_name = index_names.iter().find(|name| names.iter().any(|n| n == *name));
        let mut table = Table::new(Vec::new());
        let mut entries = Vec::new();
        for name in &names {
            let group = self.place.group(file, part)?;
            let dataset = self.place.dataset(&group, name)?;
            let shape = dataset.shape();
            if shape.first() != Some(&n) {
                let what = format!("has shape {shape:?}, but there are {n} {what}s");
                return Err(self.place.wrong(&dataset.name(), what, DAMAGED));
            }
            let column = match (elements(&dataset), shape.len()) {
                (Elements::Text, 1) => Column::Str(self.place.texts(&dataset)?),
                (Elements::Int, 1) => Column::Int(self.place.values(&dataset)?),
                (Elements::Float32, 1) => Column::Float32(self.place.values(&dataset)?),
                (Elements::Float64, 1) => Column::Float(self.place.values(&dataset)?),
                (Elements::Bool, 1) => Column::Bool(self.place.flags(&dataset)?),
                (Elements::Int | Elements::Float32 | Elements::Float64, 2) => {
                    let matrix = Dense::new(n, shape[1], self.place.floats(&dataset)?)?;
                    entries.push((name.clone(), Entry::Matrix(Matrix::Dense(matrix))));
                    continue;
                }
                _ => {
                    self.skipped.push(dataset.name());
                    continue;
                }
            };
            if Some(&name.as_str()) == index_name {
                table.index = (0..n).map(|row| column.text(row).unwrap_or_default()).collect();
            } else {
                table.columns.push((name.clone(), column));
            }
        }
        if index_name.is_none() {
            self.notes.push(format!("no attribute names the {what}s, so they are numbered"));
            table.index = (0..n).map(|i| format!("{what}_{i}")).collect();
        }
        if table.n_rows() != n {
            return Err(self.place.wrong(part, format!("the names of the {what}s cannot be read"), DAMAGED));
        }
        Ok((table, entries))
    }
}
