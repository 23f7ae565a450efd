//! Files of other programs, laid out as those write them.

use crate::files::{counts, ensembl, symbols};
use cytograd::data::h5ad;
use hdf5::types::{FixedAscii, VarLenUnicode};
use hdf5::{File, Group, H5Type};
use std::fmt::Write;
use std::path::Path;

/// A record of an old `obs`: compound, with codes whose categories stand in `uns`.
#[derive(H5Type, Clone, Copy)]
#[repr(C)]
struct OldCell {
    index: FixedAscii<24>,
    louvain: i8,
    n_counts: f32,
}

#[derive(H5Type, Clone, Copy)]
#[repr(C)]
struct OldGene {
    index: FixedAscii<24>,
    n_cells: i64,
}

#[derive(H5Type, Clone, Copy)]
#[repr(C)]
#[allow(non_snake_case)] // the field's name in such files
struct OldEmbedding {
    X_pca: [f64; 2],
}

fn unicode(texts: &[String]) -> Vec<VarLenUnicode> {
    texts.iter().map(|t| t.parse().expect("no NUL")).collect()
}

pub fn texts(group: &Group, name: &str, values: &[String]) {
    let values = unicode(values);
    group.new_dataset::<VarLenUnicode>().shape(values.len()).create(name).unwrap().write_raw(&values).unwrap();
}

pub fn numbers<T: H5Type>(group: &Group, name: &str, values: &[T]) {
    group.new_dataset::<T>().shape(values.len()).create(name).unwrap().write_raw(values).unwrap();
}

fn ascii(text: &str) -> FixedAscii<24> {
    FixedAscii::from_ascii(text.as_bytes()).expect("short")
}

fn barcodes(n: usize) -> Vec<String> {
    (0..n)
        .map(|i| format!("AAACCTGAGAAACC{}{}-1", ["A", "C", "G", "T"][i / 4 % 4], ["A", "C", "G", "T"][i % 4]))
        .collect()
}

/// The arrays of a sparse matrix.
fn sparse(group: &Group, n: usize, m: usize) {
    let x = counts(n, m);
    numbers(group, "data", x.values());
    numbers(group, "indices", &x.indices().iter().map(|&i| i as i32).collect::<Vec<_>>());
    numbers(group, "indptr", &x.indptr().iter().map(|&i| i as i64).collect::<Vec<_>>());
}

/// 12 cells x 8 genes and two antibodies, as Cell Ranger 3 and later write it.
pub fn tenx_v3(path: &Path) {
    let file = File::create(path).unwrap();
    let group = file.create_group("matrix").unwrap();
    sparse(&group, 12, 10);
    numbers(&group, "shape", &[10i32, 12]);
    texts(&group, "barcodes", &barcodes(12));
    let features = group.create_group("features").unwrap();
    let (mut names, mut types) = (symbols(8), vec!["Gene Expression".to_owned(); 8]);
    names.extend(["CD3_protein".to_owned(), "CD19_protein".to_owned()]);
    types.extend(vec!["Antibody Capture".to_owned(); 2]);
    texts(&features, "id", &ensembl(10));
    texts(&features, "name", &names);
    texts(&features, "feature_type", &types);
    texts(&features, "genome", &vec!["GRCh38".to_owned(); 10]);
}

/// The same cells as Cell Ranger 2 wrote them.
pub fn tenx_v2(path: &Path) {
    let file = File::create(path).unwrap();
    let group = file.create_group("GRCh38").unwrap();
    sparse(&group, 12, 8);
    numbers(&group, "shape", &[8i64, 12]);
    texts(&group, "barcodes", &barcodes(12));
    texts(&group, "genes", &ensembl(8));
    texts(&group, "gene_names", &symbols(8));
}

pub fn loom(path: &Path) {
    let file = File::create(path).unwrap();
    let values = counts(12, 8).transpose().to_dense();
    file.new_dataset::<f32>().shape((8, 12)).create("matrix").unwrap().write_raw(&values).unwrap();
    let rows = file.create_group("row_attrs").unwrap();
    texts(&rows, "Gene", &symbols(8));
    let columns = file.create_group("col_attrs").unwrap();
    texts(&columns, "CellID", &barcodes(12));
    numbers(&columns, "n", &[7i64; 12]);
    let layers = file.create_group("layers").unwrap();
    layers.new_dataset::<f32>().shape((8, 12)).create("spliced").unwrap().write_raw(&values).unwrap();
}

/// 12 cells x 8 genes as anndata 0.6 wrote them.
pub fn legacy(path: &Path) {
    let file = File::create(path).unwrap();
    for name in ["X", "raw.X"] {
        let group = file.create_group(name).unwrap();
        sparse(&group, 12, 8);
        let format: VarLenUnicode = "csr".parse().unwrap();
        group.new_attr::<VarLenUnicode>().create("h5sparse_format").unwrap().write_scalar(&format).unwrap();
        group.new_attr::<i64>().shape(2).create("h5sparse_shape").unwrap().write_raw(&[12i64, 8]).unwrap();
    }
    let cell = |i: usize| OldCell { index: ascii(&format!("cell{i}")), louvain: (i % 3) as i8, n_counts: i as f32 };
    numbers(&file, "obs", &(0..12).map(cell).collect::<Vec<_>>());
    let genes: Vec<OldGene> = symbols(8).iter().map(|g| OldGene { index: ascii(g), n_cells: 5 }).collect();
    numbers(&file, "var", &genes);
    numbers(&file, "raw.var", &genes);
    numbers(&file, "obsm", &[OldEmbedding { X_pca: [1.0, 2.0] }; 12]);
    let uns = file.create_group("uns").unwrap();
    texts(&uns, "louvain_categories", &["B".to_owned(), "T".to_owned(), "mono".to_owned()]);
    numbers(&uns, "numbers", &[1i64, 2]);
}

/// A 10x folder of version 2.
pub fn folder(path: &Path, genes: &[String], cells: &[String]) {
    std::fs::create_dir_all(path).unwrap();
    let x = counts(cells.len(), genes.len());
    let mut mtx = String::from("%%MatrixMarket matrix coordinate integer general\n%made by a test\n");
    writeln!(mtx, "{} {} {}", genes.len(), cells.len(), x.nnz()).unwrap();
    for cell in 0..x.n_rows() {
        let (columns, values) = x.row(cell);
        columns.iter().zip(values).for_each(|(g, v)| writeln!(mtx, "{} {} {v}", g + 1, cell + 1).unwrap());
    }
    std::fs::write(path.join("matrix.mtx"), mtx).unwrap();
    let list: String = genes.iter().zip(ensembl(genes.len())).map(|(g, id)| format!("{id}\t{g}\n")).collect();
    std::fs::write(path.join("genes.tsv"), list).unwrap();
    std::fs::write(path.join("barcodes.tsv"), cells.join("\n")).unwrap();
}

/// A table of 12 cells x 8 genes.
pub fn csv(path: &Path) {
    let x = counts(12, 8).to_dense();
    let mut text = format!("cell,{}\n", symbols(8).join(","));
    for (cell, row) in barcodes(12).iter().zip(x.chunks(8)) {
        let values: Vec<String> = row.iter().map(f32::to_string).collect();
        writeln!(text, "{cell},{}", values.join(",")).unwrap();
    }
    std::fs::write(path, text).unwrap();
}

/// Our own h5ad file with one of each kind of part.
pub fn current(path: &Path) {
    let mut data = crate::files::dataset(12, symbols(8));
    data.layers.push(("counts".into(), data.x.clone()));
    let dense = cytograd::data::Dense::new(12, 2, vec![0.5; 24]).unwrap();
    data.obsm.push(("X_pca".into(), cytograd::data::Entry::Matrix(cytograd::data::Matrix::Dense(dense))));
    data.uns.push(("note".into(), "kept".into()));
    h5ad::write(path, &data).unwrap();
}
