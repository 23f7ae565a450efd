//! 10x HDF5: version 3 (`/matrix` with `features`) and version 2 (one group per genome).
//!
//! The matrix is features x barcodes by columns, which is cells x genes by rows: rows are read
//! straight from the file.

use super::{Features, Parts, genomes_note};
use crate::data::annotated::{Dataset, missing_layer};
use crate::data::csr::Csr;
use crate::data::hdf::{DAMAGED, Place, dtype_name, elements, is_group, members};
use crate::data::matrix::Matrix;
use crate::data::overview::Extra;
use crate::data::source::{RowSizes, Source, Stored, Which, check_rows};
use crate::data::table::Table;
use crate::error::{Error, Result};
use hdf5::{File, Group};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

/// A 10x HDF5 file, opened for reading.
pub struct TenxHdf5 {
    place: Place,
    name: String,
    format: &'static str,
    /// One group, or one per genome (version 2).
    groups: Vec<Group>,
    features: Features,
    parts: Parts,
    obs: Table,
    var: Table,
    stored: Vec<Stored>,
    notes: Vec<String>,
    /// Kept open as long as its groups are used.
    _file: File,
}

/// Reads the tables of a file.
///
/// # Errors
/// `Error::Format` if it is not a 10x file or inconsistent.
pub(in crate::data) fn of(path: &Path, file: File) -> Result<TenxHdf5> {
    let place = Place::new(path);
    let texts = |group: &Group, name: &str| place.texts(&place.dataset(group, name)?);
    let mut features = Features::default();
    let (format, groups, genomes) = if is_group(&file, "matrix") {
        let group = place.group(&file, "matrix")?;
        let table = place.group(&group, "features")?;
        features.ids = texts(&table, "id")?;
        features.names = texts(&table, "name")?;
        features.types = texts(&table, "feature_type")?;
        let mut genomes = Vec::new();
        for name in members(&table) {
            if matches!(name.as_str(), "id" | "name" | "feature_type") || name.starts_with("_all_tag") {
                continue;
            }
            let column = place.dataset(&table, &name)?;
            if elements(&column) == crate::data::hdf::Elements::Text {
                let values = place.texts(&column)?;
                if name == "genome" {
                    genomes.clone_from(&values);
                }
                features.more.push((name, values));
            }
        }
        ("10x HDF5 v3", vec![group], genomes)
    } else {
        let is_genome = |name: &String| file.group(name).is_ok_and(|g| g.link_exists("barcodes"));
        let names: Vec<String> = members(&file).into_iter().filter(is_genome).collect();
        let (mut groups, mut genomes) = (Vec::new(), Vec::new());
        for name in &names {
            let group = place.group(&file, name)?;
            let ids = texts(&group, "genes")?;
            features.names.extend(texts(&group, "gene_names")?);
            genomes.extend(ids.iter().map(|_| name.clone()));
            features.ids.extend(ids);
            groups.push(group);
        }
        features.more.push(("genome".into(), genomes.clone()));
        ("10x HDF5 v2", groups, genomes)
    };
    let Some(first) = groups.first() else {
        return Err(Error::format(path, "no matrix in this 10x file", "give filtered_feature_bc_matrix.h5"));
    };
    let mut lengths = vec![features.names.len()];
    lengths.extend((!features.types.is_empty()).then_some(features.types.len()));
    lengths.extend(features.more.iter().map(|(_, values)| values.len()));
    if let Some(odd) = lengths.iter().find(|&&n| n != features.len()) {
        let what = format!("{} feature ids, but another column of features has {odd} entries", features.len());
        return Err(place.wrong(&first.name(), what, DAMAGED));
    }
    let obs = Table::new(texts(first, "barcodes")?);
    let mut notes = Vec::new();
    for group in &groups[1..] {
        if texts(group, "barcodes")? != obs.index {
            let what = "its barcodes are not those of the other genome";
            return Err(place.wrong(&group.name(), what, "write one file per genome"));
        }
    }
    let mut n_features = 0;
    let mut entries = 0;
    for group in &groups {
        n_features += check_group(&place, group, obs.n_rows())?;
        entries += place.dataset(group, "data")?.size();
    }
    if n_features != features.len() {
        let what = format!("the matrix has {n_features} features, the list of features {}", features.len());
        return Err(place.wrong(&first.name(), what, DAMAGED));
    }
    let parts = Parts::new(&features);
    notes.extend(genomes_note(&genomes));
    notes.extend(parts.notes.iter().cloned());
    let var = features.table(&parts.genes)?;
    let data = place.dataset(first, "data")?;
    let dtype = dtype_name(&data);
    let stored = vec![Stored {
        which: Which::X,
        n_rows: obs.n_rows(),
        n_cols: var.n_rows(),
        storage: "csr",
        dtype,
        entries: parts.is_all(&features).then_some(entries),
    }];
    Ok(TenxHdf5 { name: place.name(), format, groups, features, parts, obs, var, stored, notes, place, _file: file })
}

/// Compares the shape with the barcodes and the pointers; the number of features.
fn check_group(place: &Place, group: &Group, n_cells: usize) -> Result<usize> {
    let shape: Vec<i64> = place.values(&place.dataset(group, "shape")?)?;
    let pointers = place.dataset(group, "indptr")?.size();
    match shape[..] {
        [features, barcodes] if barcodes == n_cells as i64 && features >= 0 && pointers == n_cells + 1 => {
            Ok(features as usize)
        }
        _ => {
            let what = format!("its shape is {shape:?}, with {n_cells} barcodes and {pointers} pointers");
            Err(place.wrong(&group.name(), what, DAMAGED))
        }
    }
}

impl TenxHdf5 {
    /// Cells x features, genes and others.
    fn all_features(&self, rows: &Range<usize>) -> Result<Csr> {
        let mut parts = Vec::new();
        for group in &self.groups {
            parts.push(self.block(group, rows)?);
        }
        if parts.len() == 1 {
            return Ok(parts.remove(0));
        }
        // Genomes side by side: columns of each behind those of the one before.
        let width = self.features.len();
        let mut merged = crate::data::csr::CsrBuilder::new(width, parts.iter().map(Csr::nnz).sum());
        for row in 0..rows.len() {
            let mut offset = 0;
            let mut entries = Vec::new();
            for part in &parts {
                let (columns, values) = part.row(row);
                entries.extend(columns.iter().zip(values).map(|(&c, &v)| (c + offset, v)));
                offset += part.n_cols() as u32;
            }
            merged.push_row(entries.into_iter());
        }
        Ok(merged.finish())
    }

    /// All cells, with the entries of genes left out.
    fn other_features(&self) -> Result<Csr> {
        const ROWS: usize = 4096;
        let mut target: Vec<u32> = (0..self.features.len() as u32).collect();
        self.parts.genes.iter().for_each(|&gene| target[gene] = u32::MAX);
        let n = self.obs.n_rows();
        let mut parts = Vec::new();
        for first in (0..n).step_by(ROWS) {
            let rows = self.all_features(&(first..(first + ROWS).min(n)))?;
            parts.push(rows.map_cols(&target, self.features.len()));
        }
        if parts.is_empty() {
            Ok(Csr::zeros(0, self.features.len()))
        } else {
            Csr::vstack(&parts.iter().collect::<Vec<_>>())
        }
    }

    fn block(&self, group: &Group, rows: &Range<usize>) -> Result<Csr> {
        let place = &self.place;
        let shape: Vec<i64> = place.values(&place.dataset(group, "shape")?)?;
        let wrong = |what: &str| place.wrong(&group.name(), what, DAMAGED);
        let pointers = place.pointers(&place.dataset(group, "indptr")?, rows.start..rows.end + 1)?;
        let span = pointers[0]..pointers[rows.len()];
        let indices = place.indices(&place.dataset(group, "indices")?, span.clone())?;
        let values = place.floats_in(&place.dataset(group, "data")?, span.clone())?;
        let pointers = pointers.iter().map(|p| p - span.start).collect();
        let csr = Csr::from_unsorted(rows.len(), shape[0] as usize, pointers, indices, values);
        csr.map_err(|e| match e {
            Error::Data { what, .. } => wrong(&what),
            other => other,
        })
    }
}

impl Source for TenxHdf5 {
    fn format(&self) -> &str {
        self.format
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
        if *which != Which::X {
            return Err(missing_layer(&self.name, &which.to_string(), &[]));
        }
        check_rows(self, &rows)?;
        let all = self.all_features(&rows)?;
        Ok(Matrix::Csr(if self.parts.is_all(&self.features) { all } else { all.select_cols(&self.parts.genes) }))
    }

    fn extras(&self) -> BTreeMap<String, Vec<Extra>> {
        let shape = |rows: &[usize]| vec![self.obs.n_rows(), rows.len()];
        let parts = self.parts.others.iter();
        let list: Vec<Extra> = parts.map(|(name, rows)| Extra { name: name.clone(), shape: shape(rows) }).collect();
        if list.is_empty() { BTreeMap::new() } else { BTreeMap::from([("obsm".to_owned(), list)]) }
    }

    fn row_sizes(&self, _: &Which) -> Result<RowSizes> {
        let mut sizes = vec![0; self.obs.n_rows() + 1];
        for group in &self.groups {
            let pointers = self.place.pointers(&self.place.dataset(group, "indptr")?, 0..sizes.len())?;
            sizes.iter_mut().zip(pointers).for_each(|(sum, p)| *sum += p);
        }
        Ok(RowSizes::Pointers(sizes))
    }

    fn frame(&self) -> Result<Dataset> {
        let (n, m) = (self.obs.n_rows(), self.var.n_rows());
        let mut dataset = Dataset::new(Matrix::Csr(Csr::zeros(n, m)), self.obs.clone(), self.var.clone())?;
        dataset.source.clone_from(&self.name);
        if !self.parts.is_all(&self.features) {
            let features = self.other_features()?;
            self.parts.set_apart(&mut dataset, &features, &self.features);
        }
        Ok(dataset)
    }

    fn dataset(&self) -> Result<Dataset> {
        let all = self.all_features(&(0..self.obs.n_rows()))?;
        let genes = if self.parts.is_all(&self.features) { all.clone() } else { all.select_cols(&self.parts.genes) };
        let mut dataset = Dataset::new(Matrix::Csr(genes), self.obs.clone(), self.var.clone())?;
        dataset.source.clone_from(&self.name);
        self.parts.set_apart(&mut dataset, &all, &self.features);
        Ok(dataset)
    }
}
