//! Files larger than memory: with a tiny limit, so that many blocks are needed, everything comes out
//! as without one.

use cytograd::analysis::preprocess::{Options, preprocess};
use cytograd::data::h5ad::{self, Additions, Stepwise};
use cytograd::data::overview::Overview;
use cytograd::data::preprocess::Flavor;
use cytograd::data::simulate::{SimulateParams, simulate};
use cytograd::data::{Blocks, Column, Csr, Dataset, Dense, Matrix, Memory, Raw, RowBlocks, Which, open, results};
use cytograd::device::Device;
use cytograd::error::Result;
use cytograd::models::annotator::{AnnotateOptions, Profile, TrainOptions, annotate, train};
use cytograd::models::ebm::Model;
use cytograd::models::run::Silent;
use std::path::Path;

/// Blocks of 4 KiB: a few dozen cells.
const TINY: u64 = 64 << 10;

/// 700 cells x 90 genes in two batches, with a layer, a dense layer, `raw` and genes named `MT-`.
fn cells() -> Dataset {
    let params = SimulateParams { n_cells: 700, n_genes: 90, n_types: 4, seed: 5, ..SimulateParams::default() };
    let mut dataset = simulate(&params).unwrap();
    for gene in [3, 40] {
        dataset.var.index[gene] = format!("MT-{gene}");
    }
    let halves = |v: &f32| v * 0.5;
    let x = dataset.x.to_csr().unwrap();
    let half = Csr::new(700, 90, x.indptr().to_vec(), x.indices().to_vec(), x.values().iter().map(halves).collect());
    let dense = Dense::new(700, 90, x.to_dense().iter().map(|v| v - 1.0).collect()).unwrap();
    dataset.raw = Some(Raw { x: Matrix::Csr(x.clone()), var: dataset.var.clone(), varm: vec![] });
    dataset.layers = vec![("half".into(), Matrix::Csr(half.unwrap())), ("scaled".into(), Matrix::Dense(dense))];
    // Some cells and genes that filters drop.
    let thin = |row: usize, column: usize| row % 97 == 4 && column > 2 || column % 31 == 7;
    let values: Vec<f32> =
        x.to_dense().iter().enumerate().map(|(i, &v)| if thin(i / 90, i % 90) { 0.0 } else { v }).collect();
    dataset.x = Matrix::Csr(Csr::from_dense(700, 90, &values).unwrap());
    dataset
}

fn options(folder: &Path, output: &str, memory: Memory) -> Options {
    Options {
        input: folder.join("cells.h5ad"),
        output: folder.join(output),
        layer: None,
        min_genes: 5,
        min_cells: 3,
        target_sum: None,
        flavor: Some(Flavor::Seurat),
        n_top: 30,
        batch_key: None,
        subset: false,
        scale: false,
        n_pcs: 6,
        seed: 1,
        memory,
    }
}

fn read(path: &Path) -> Dataset {
    let mut dataset = h5ad::read(path).unwrap();
    dataset.source.clear();
    dataset
}

#[test]
fn preprocess_gives_the_same_bits_in_many_blocks() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    h5ad::write(&at.join("cells.h5ad"), &cells()).unwrap();
    let flavors = [Some(Flavor::Seurat), Some(Flavor::CellRanger), Some(Flavor::SeuratV3), None];
    for (i, flavor) in flavors.into_iter().enumerate() {
        for batch_key in [None, Some("batch".to_owned())] {
            let change = |o: Options| {
                let layer = (i == 3).then(|| "raw".to_owned());
                Options { flavor, batch_key: batch_key.clone(), subset: i % 2 == 0, scale: i > 1, layer, ..o }
            };
            let mut quiet = |_: u64, _: &str| Ok(());
            let whole = preprocess(&change(options(at, "whole.h5ad", Memory::default())), &mut quiet).unwrap();
            let parts = preprocess(&change(options(at, "parts.h5ad", Memory::limited(3 * TINY))), &mut quiet).unwrap();
            assert_eq!(whole, parts, "{flavor:?}");
            assert!(i == 3 || whole.cells_dropped > 0 && whole.genes_dropped > 0, "{whole:?}");
            let (whole, parts) = (read(&at.join("whole.h5ad")), read(&at.join("parts.h5ad")));
            assert_eq!(whole, parts, "{flavor:?}");
            if i < 3 {
                assert!(matches!(whole.matrix(Some("scaled")), Ok(Matrix::Dense(_))), "a dense layer stays dense");
                assert_eq!(whole.raw.map(|raw| raw.x.n_rows()), Some(whole.obs.n_rows()));
            }
        }
    }
}

#[test]
fn preprocess_says_what_is_in_cells_and_genes() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let cells = cells();
    h5ad::write(&at.join("cells.h5ad"), &cells).unwrap();
    preprocess(&options(at, "out.h5ad", Memory::limited(2 * TINY)), &mut |_, _| Ok(())).unwrap();
    let out = read(&at.join("out.h5ad"));
    let x = cells.x.to_csr().unwrap();
    let number = |name: &str, row: usize| out.obs.get(name).and_then(Column::numbers).unwrap()[row];
    for row in [0, 1, out.n_obs() - 1] {
        let old = cells.obs.index.iter().position(|name| *name == out.obs.index[row]).unwrap();
        let total: f64 = x.row(old).1.iter().map(|&v| f64::from(v)).sum();
        let theirs = f64::from(x.get(old, 3)) + f64::from(x.get(old, 40));
        assert_eq!(number("total_counts", row), total);
        assert_eq!(number("n_genes_by_counts", row), x.row(old).1.len() as f64);
        assert!((number("pct_counts_mt", row) - 100.0 * theirs / total).abs() < 1e-12);
    }
    assert!(out.var.get("n_cells_by_counts").is_some());
}

/// The blocks of every matrix, put together again.
fn joined(path: &Path, which: &Which, memory: Memory) -> Result<(usize, Csr)> {
    let source = open(path)?;
    let blocks = Blocks::new(source.as_ref(), which, memory)?;
    let mut parts = Vec::new();
    blocks.pass(&mut |_, block| {
        parts.push(block.clone());
        Ok(())
    })?;
    Ok((parts.len(), Csr::vstack(&parts.iter().collect::<Vec<_>>())?))
}

#[test]
fn blocks_of_every_storage_are_the_matrix() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cells.h5ad");
    h5ad::write(&path, &cells()).unwrap();
    let whole = open(&path).unwrap();
    for which in [Which::X, Which::Layer("half".into()), Which::Layer("scaled".into()), Which::Raw] {
        let expected = whole.matrix(&which).unwrap().into_csr().unwrap();
        for memory in [TINY, 2 * TINY, 1 << 30] {
            let (n, found) = joined(&path, &which, Memory::limited(memory)).unwrap();
            assert_eq!(found, expected, "{which} {memory}");
            assert_eq!(n > 5, memory < 1 << 20, "{n} blocks of {which} within {memory}");
        }
    }
}

#[test]
fn a_limit_below_one_cell_and_a_matrix_by_genes_are_one_clear_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cells.h5ad");
    h5ad::write(&path, &cells()).unwrap();
    let said = joined(&path, &Which::X, Memory::limited(1000)).unwrap_err().to_string();
    assert!(
        said.starts_with("cells.h5ad: X: one cell of the matrix takes about") && said.contains("--memory"),
        "{said}"
    );
    // The matrix by columns: the transposed one in the dress of CSC.
    let csc = folder.path().join("csc.h5ad");
    let file = hdf5::File::open(&path).unwrap();
    std::fs::copy(&path, &csc).unwrap();
    drop(file);
    let x = cells().x.to_csr().unwrap().transpose();
    let file = hdf5::File::open_rw(&csc).unwrap();
    file.unlink("X").unwrap();
    let group = file.create_group("X").unwrap();
    let text = |name: &str, value: &str| {
        let value: hdf5::types::VarLenUnicode = value.parse().unwrap();
        group.new_attr::<hdf5::types::VarLenUnicode>().create(name).unwrap().write_scalar(&value).unwrap();
    };
    text("encoding-type", "csc_matrix");
    text("encoding-version", "0.1.0");
    group.new_attr::<i64>().shape([2]).create("shape").unwrap().write_raw(&[700i64, 90]).unwrap();
    let pointers: Vec<i64> = x.indptr().iter().map(|&p| p as i64).collect();
    group.new_dataset_builder().with_data(&pointers).create("indptr").unwrap();
    group.new_dataset_builder().with_data(x.indices()).create("indices").unwrap();
    group.new_dataset_builder().with_data(x.values()).create("data").unwrap();
    drop(group); // a file with an open group stays open
    file.close().unwrap();
    assert_eq!(joined(&csc, &Which::X, Memory::default()).unwrap(), (1, cells().x.to_csr().unwrap()));
    let error = joined(&csc, &Which::X, Memory::limited(TINY)).unwrap_err();
    let said = error.to_string();
    assert!(said.contains("stored by genes (CSC)") && said.contains("give at least --memory"), "{said}");
    assert_eq!(error.exit_code(), 2);
    let csv = folder.path().join("cells.csv");
    let line = |row: usize| format!("c{row},{}\n", (0..90).map(|g| (g % 3).to_string()).collect::<Vec<_>>().join(","));
    let header = format!("cell,{}\n", (0..90).map(|g| format!("ENSG{g:011}")).collect::<Vec<_>>().join(","));
    std::fs::write(&csv, header + &(0..700).map(line).collect::<String>()).unwrap();
    let text = |memory: Memory| cytograd::data::source::open_within(&csv, memory).map(|_| ());
    assert!(text(Memory::default()).is_ok());
    let said = text(Memory::limited(TINY)).unwrap_err().to_string();
    assert!(said.starts_with("cells.csv: a matrix that is text is read as a whole"), "{said}");
}

#[test]
fn inspect_sees_the_same_in_many_blocks() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cells.h5ad");
    let mut dataset = cells();
    let logged = |v: &f32| v.ln_1p();
    let x = dataset.x.to_csr().unwrap();
    let values = x.values().iter().map(logged).collect();
    let logs = Csr::new(700, 90, x.indptr().to_vec(), x.indices().to_vec(), values).unwrap();
    dataset.layers.push(("logged".into(), Matrix::Csr(logs)));
    h5ad::write(&path, &dataset).unwrap();
    let source = open(&path).unwrap();
    let whole = Overview::new(source.as_ref()).unwrap();
    assert_eq!(whole, Overview::within(source.as_ref(), Memory::limited(TINY)).unwrap());
    assert_eq!(whole.matrices[2].content, "log1p normalised", "{:?}", whole.matrices);
}

#[test]
fn annotate_writes_the_same_with_many_blocks() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    h5ad::write(&at("cells.h5ad"), &cells()).unwrap();
    let device = Device::cpu(2);
    let mut settings = Profile::Small.settings(Model::Resnet, None, 500);
    settings.features.n_pcs = 10;
    settings.ebm.net.widths = vec![16];
    settings.ebm.optim.epochs = 2;
    settings.ebm.optim.decay_epochs = vec![1];
    let mut training = TrainOptions::new(Model::Resnet, at("cells.h5ad"), "cell_type", at("run"));
    training.filter = vec!["batch=batch0".parse().unwrap()];
    training.settings = Some(settings);
    train(&training, &device, &mut Silent).unwrap();
    for filter in [vec![], vec!["batch=batch1".parse().unwrap()]] {
        let options = |output: &str, memory: Memory| AnnotateOptions {
            filter: filter.clone(),
            memory,
            ..AnnotateOptions::new(at("run"), at("cells.h5ad"), at(output))
        };
        annotate(&options("whole.h5ad", Memory::default()), &device, &mut Silent).unwrap();
        annotate(&options("parts.h5ad", Memory::limited(TINY)), &device, &mut Silent).unwrap();
        let whole = read(&at("whole.h5ad"));
        assert_eq!(whole, read(&at("parts.h5ad")));
        assert!(whole.obs.get("cytograd_label").is_some());
        // Everything that was there is there.
        let before = cells();
        let rows: Vec<usize> = (0..700)
            .filter(|&row| filter.is_empty() || before.obs.get("batch").and_then(|b| b.text(row)).unwrap() == "batch1")
            .collect();
        assert_eq!(whole.x.to_csr().unwrap(), before.x.select_rows(&rows).into_csr().unwrap());
        assert_eq!(whole.layers, before.select_obs(&rows).layers);
        assert_eq!(whole.raw, before.select_obs(&rows).raw);
    }
}

#[test]
fn large_matrices_written_in_pieces_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pieces.h5ad");
    // More entries than are packed at once.
    let block = |first: usize| {
        let values: Vec<f32> = (0..100 * 1200).map(|i| ((i * 7 + first) % 11) as f32).collect();
        Csr::from_dense(100, 1200, &values).unwrap()
    };
    let mut frame = Dataset::new(
        Matrix::Csr(Csr::zeros(1100, 1200)),
        cytograd::data::Table::new((0..1100).map(|i| format!("c{i}")).collect()),
        cytograd::data::Table::new((0..1200).map(|i| format!("g{i}")).collect()),
    )
    .unwrap();
    let mut file = Stepwise::new(&path).unwrap();
    let (mut x, mut dense) =
        (file.matrix(&Which::X, 1200).unwrap(), file.dense(&Which::Layer("d".into()), 1200).unwrap());
    for i in 0..11 {
        x.push(&block(i)).unwrap();
        dense.push(&block(i)).unwrap();
    }
    assert!(x.push(&Csr::zeros(1, 7)).is_err());
    x.finish().unwrap();
    file.finish(&frame).unwrap();
    let blocks: Vec<Csr> = (0..11).map(block).collect();
    let all = Csr::vstack(&blocks.iter().collect::<Vec<_>>()).unwrap();
    let found = read(&path);
    assert_eq!(found.x.to_csr().unwrap(), all);
    assert_eq!(found.layers[0].1.to_dense(), all.to_dense());
    // Chosen cells of a matrix of many pieces, in a copy.
    let rows: Vec<usize> = (0..1100).filter(|row| row % 3 == 1).collect();
    let added = Additions {
        obs: vec![("n".into(), Column::Int(rows.iter().map(|&r| r as i64).collect()))],
        ..Additions::default()
    };
    let out = folder.path().join("chosen.h5ad");
    results::write(&path, &out, &added, Some(&rows)).unwrap();
    frame = read(&out);
    assert_eq!(frame.x.to_csr().unwrap(), all.select_rows(&rows));
    assert_eq!(frame.layers[0].1.to_dense(), all.select_rows(&rows).to_dense());
    // Nothing is left of a file that was not finished.
    drop(Stepwise::new(&folder.path().join("never.h5ad")).unwrap());
    let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
}
