//! Input traps that other tools' users fell into, one small fixture each, named after the report.

use crate::files::{alone, counts, dataset, ensembl, python, refused, symbols, texts};
use crate::write;
use cytograd::data::check::{Content, Names, describe, require_counts};
use cytograd::data::genes::{GeneMatch, MIN_OVERLAP};
use cytograd::data::h5ad::{self, Additions};
use cytograd::data::overview::Overview;
use cytograd::data::preprocess::{Target, log1p, normalize_total};
use cytograd::data::{Categorical, Column, Csr, Dataset, Dense, Matrix, Raw, Which, open, results, source};
use std::path::Path;

fn overview(path: &Path) -> Overview {
    Overview::new(open(path).unwrap().as_ref()).unwrap()
}

fn logged(x: &Csr) -> Csr {
    let (mut x, _) = normalize_total(x, Target::Sum(1e4)).unwrap();
    log1p(&mut x);
    x
}

/// Whether `command` is ready, and how.
fn usable(o: &Overview, command: &str) -> (bool, String) {
    let found = o.uses.iter().find(|u| u.command == command).unwrap();
    (found.ready, found.how.clone())
}

/// Values normalised to 10,000 and logged are taken for what they are, although in 32 bits no cell
/// sums to 10,000 exactly.
#[test]
fn celltypist_146_log1p_of_ten_thousand_is_recognised() {
    let _turn = alone();
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("x.h5ad");
    let mut data = dataset(200, symbols(300));
    data.layers.push(("counts".into(), data.x.clone()));
    data.x = Matrix::Csr(logged(&data.x.to_csr().unwrap()));
    h5ad::write(&path, &data).unwrap();
    let o = overview(&path);
    assert_eq!(o.matrices[0].content, "log1p normalised", "{}", o.matrices[0].evidence);
    assert!((o.matrices[0].target_sum.unwrap() - 1e4).abs() < 10.0);
    assert_eq!(usable(&o, "annotate"), (true, "--layer counts".into()));
    // The same with all genes kept but some cells' sums off by rounding to half precision.
    let half = |v: f32| f32::from_bits((v.to_bits() + 0x1000) & !0x1fff);
    let mut x = data.x.to_csr().unwrap();
    x.values_mut().iter_mut().for_each(|v| *v = half(*v));
    let seen = describe(&Matrix::Csr(x));
    assert!(matches!(seen.content, Content::Log1p { target: Some(t) } if (t - 1e4).abs() < 50.0), "{}", seen.evidence);
}

/// Counts that wait in `raw` behind a scaled `X` are found, named, and used with `--layer raw`.
#[test]
fn celltypist_24_scaled_x_with_counts_in_raw() {
    let _turn = alone();
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("x.h5ad");
    let mut data = dataset(40, symbols(50));
    let raw = Raw { x: data.x.clone(), var: data.var.clone(), varm: vec![] };
    let x = data.x.to_dense().iter().map(|v| (v - 1.0) / 2.0).collect();
    data.x = Matrix::Dense(Dense::new(40, 50, x).unwrap());
    data.raw = Some(raw.clone());
    h5ad::write(&path, &data).unwrap();
    let o = overview(&path);
    assert_eq!((o.matrices[0].content.as_str(), o.matrices[1].content.as_str()), ("scaled", "counts"));
    assert_eq!(usable(&o, "annotate"), (true, "--layer raw".into()));
    assert_eq!(usable(&o, "preprocess"), (true, "--layer raw".into()));
    let opened = open(&path).unwrap();
    let read = source::read_matrix(opened.as_ref(), Some("raw")).unwrap();
    assert_eq!((read.x, read.var), (raw.x, raw.var));
    let names = Names { place: "x.h5ad: X", cells: &data.obs.index, genes: &data.var.index };
    let layers = source::layer_names(opened.as_ref());
    let error = require_counts(&describe(&data.x), names, &layers).unwrap_err().to_string();
    assert!(error.ends_with("try --layer raw"), "{error}");
}

/// Ensembl ids in the file, symbols in the model: said as such, with what to add.
#[test]
fn celltypist_26_ensembl_ids_where_the_model_has_symbols() {
    let query = dataset(5, ensembl(20)).var;
    let error = GeneMatch::find(&symbols(20), &query, "q.h5ad").unwrap_err().to_string();
    assert!(error.contains("(Ensembl ids, gene symbols in the model)"), "{error}");
    assert!(error.ends_with("add a column with gene symbols to var"), "{error}");
}

/// A mouse file under a human model that shares a handful of genes is refused, not labelled; one
/// that matches by spelling alone is labelled with a warning.
#[test]
fn celltypist_55_nine_genes_are_not_enough() {
    let model = symbols(1000);
    let mouse = |name: &String| {
        let lower = name.to_lowercase();
        lower[..1].to_uppercase() + &lower[1..]
    };
    let shared: Vec<String> = (0..1000).map(|i| if i < 9 { mouse(&model[i]) } else { format!("Gm{i}") }).collect();
    let var = dataset(5, shared).var;
    let found = GeneMatch::find(&model, &var, "q.h5ad").unwrap();
    assert_eq!(found.matched, 9);
    let error = found.require_overlap(MIN_OVERLAP).unwrap_err().to_string();
    assert!(error.contains("only 9 of the model's 1000 genes (0.9 %)"), "{error}");
    found.require_overlap(0.0).unwrap();
    let all: Vec<String> = model.iter().map(mouse).collect();
    let var = dataset(5, all).var;
    let found = GeneMatch::find(&model, &var, "q.h5ad").unwrap();
    assert_eq!((found.matched, found.how.as_str()), (1000, "var_names, ignoring case"));
    let warning = found.species_warning(&model, &var).unwrap();
    assert!(warning.contains("like those of mouse") && warning.contains("like those of human"), "{warning}");
}

/// Symbols in whatever column of `var`, ids as names: found without being told where.
#[test]
fn celltypist_87_symbols_in_a_column_of_var() {
    let mut var = dataset(5, ensembl(20)).var;
    var.set("chromosome", Column::Categorical(Categorical::from_strings(&vec!["chr1"; 20]))).unwrap();
    var.set("my own symbols", Column::Str(symbols(20))).unwrap();
    let found = GeneMatch::find(&symbols(20), &var, "q.h5ad").unwrap();
    assert_eq!((found.matched, found.how.as_str()), (20, "var[\"my own symbols\"]"));
}

/// The layout of nf-core/scrnaseq: ids as names, symbols in a categorical `gene_symbol`, several ids
/// with one symbol. Counts are added up; logarithms are refused.
#[test]
fn scdownstream_72_ids_as_names_and_repeated_symbols_in_var() {
    let mut var = dataset(5, ensembl(20)).var;
    let mut names = symbols(20);
    names[19] = "ACTB".into();
    var.set("gene_symbol", Column::Categorical(Categorical::from_strings(&names))).unwrap();
    let found = GeneMatch::find(&symbols(19), &var, "q.h5ad").unwrap();
    assert_eq!((found.matched, found.merged, found.how.as_str()), (19, 1, "var[\"gene_symbol\"]"));
    let x = counts(5, 20);
    let summed = found.apply(&x).unwrap();
    assert!((0..5).all(|cell| summed.get(cell, 0) == x.get(cell, 0) + x.get(cell, 19)));
    found.require_addable(true, "counts").unwrap();
    assert!(found.require_addable(false, "log1p normalised").unwrap_err().to_string().contains("\"ACTB\""));
}

/// A file of anndata 0.6 opens, is said to be old, and what we write of it is of today.
#[test]
fn anndata_739_a_file_of_old() {
    let _turn = alone();
    let scratch = tempfile::tempdir().unwrap();
    let (old, new) = (scratch.path().join("old.h5ad"), scratch.path().join("new.h5ad"));
    write::legacy(&old);
    let source = open(&old).unwrap();
    assert!(source.notes()[0].contains("written by an old anndata"), "{:?}", source.notes());
    let data = source.dataset().unwrap();
    assert_eq!((data.n_obs(), data.n_vars(), data.obs.index[1].as_str()), (12, 8, "cell1"));
    assert_eq!(data.obs.get("louvain").unwrap().text(2).as_deref(), Some("mono"));
    assert_eq!(data.raw.as_ref().unwrap().x, data.x);
    drop(source);
    let add = Additions { obs: vec![("n".into(), Column::Int((0..12).collect()))], ..Additions::default() };
    let notes = results::write(&old, &new, &add, None).unwrap();
    assert!(notes[0].contains("old encodings renewed in X, obs"), "{notes:?}");
    let again = open(&new).unwrap();
    assert!(again.notes().is_empty(), "{:?}", again.notes());
    let back = again.dataset().unwrap();
    assert_eq!((&back.x, &back.obsm, &back.raw.as_ref().unwrap().x), (&data.x, &data.obsm, &data.x));
    assert_eq!(back.obs.get("louvain"), data.obs.get("louvain"));
    assert_eq!(back.uns, data.uns);
    let script = "import sys, warnings; warnings.simplefilter('error'); import anndata
a = anndata.read_h5ad(sys.argv[1])
assert a.obs['louvain'].tolist()[:3] == ['B', 'T', 'mono'] and a.raw.shape == (12, 8) and a.obsm['X_pca'].shape == (12, 2)
assert a.uns['numbers'].tolist() == [1, 2] and 'louvain_categories' not in a.uns and a.obs['n'].sum() == 66";
    python(script, &[new.to_str().unwrap()]);
}

/// A matrix is read in blocks of rows, in whatever format, without being read as a whole.
#[test]
fn scvi_tools_3419_a_matrix_is_read_in_blocks_of_rows() {
    let _turn = alone();
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("x.h5ad");
    let data = dataset(3000, symbols(40));
    h5ad::write(&path, &data).unwrap();
    let source = open(&path).unwrap();
    let mut sums = Vec::new();
    for start in (0..3000).step_by(256) {
        let block = source.rows(&Which::X, start..(start + 256).min(3000)).unwrap();
        assert!(block.n_rows() <= 256);
        sums.extend(block.row_sums());
    }
    assert_eq!(sums, data.x.row_sums());
}

/// Antibodies in a 10x matrix are no genes (celltypist 62 and 14).
#[test]
fn celltypist_62_antibodies_among_the_features() {
    let _turn = alone();
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("x.h5");
    write::tenx_v3(&path);
    let source = open(&path).unwrap();
    assert_eq!((source.var(&Which::X).n_rows(), source.format()), (8, "10x HDF5 v3"));
    assert!(source.notes()[0].starts_with("2 features of type \"Antibody Capture\" set apart"));
    let data = source.dataset().unwrap();
    assert_eq!(data.x.to_csr().unwrap(), counts(12, 10).select_cols(&(0..8).collect::<Vec<_>>()));
}

/// Ids with versions on one side only.
#[test]
fn versions_of_ensembl_ids_do_not_matter() {
    let versioned: Vec<String> = ensembl(20).iter().enumerate().map(|(i, id)| format!("{id}.{}", i + 1)).collect();
    for (model, query) in [(ensembl(20), versioned.clone()), (versioned, ensembl(20))] {
        let found = GeneMatch::find(&model, &dataset(5, query).var, "q").unwrap();
        assert_eq!((found.matched, found.how.as_str()), (20, "var_names, without Ensembl versions"));
    }
}

/// A file is what its content says, whatever its name.
#[test]
fn names_of_files_do_not_matter() {
    let _turn = alone();
    let scratch = tempfile::tempdir().unwrap();
    for (writer, name, format) in [
        (write::current as fn(&Path), "data.csv", "h5ad"),
        (write::tenx_v2, "data.h5ad", "10x HDF5 v2"),
        (write::loom, "data.h5", "loom"),
        (write::csv, "data.h5ad", "CSV"),
        (write::csv, "counts", "CSV"),
    ] {
        let path = scratch.path().join(name);
        writer(&path);
        assert_eq!(open(&path).unwrap().format(), format, "{name}");
        std::fs::remove_file(path).unwrap();
    }
}

/// Repeated names of a 10x matrix: unique in what we write, as they were in a column beside.
#[test]
fn repeated_gene_names_become_unique_in_a_new_file() {
    let _turn = alone();
    let scratch = tempfile::tempdir().unwrap();
    let (folder, out) = (scratch.path().join("sample"), scratch.path().join("out.h5ad"));
    let genes = texts(&["ACTB", "TBCE", "CD3D", "TBCE", "LYZ"]);
    write::folder(&folder, &genes, &texts(&["c1", "c2", "c3"]));
    let notes = results::write(&folder, &out, &Additions::default(), None).unwrap();
    assert!(notes.iter().any(|n| n.contains("1 repeated gene names were given numbers")), "{notes:?}");
    let data = open(&out).unwrap().dataset().unwrap();
    assert_eq!(data.var.index, texts(&["ACTB", "TBCE", "CD3D", "TBCE-1", "LYZ"]));
    assert_eq!(data.var.get("original_name"), Some(&Column::Str(genes)));
    let script = "import sys, warnings; warnings.simplefilter('error'); import anndata
assert anndata.read_h5ad(sys.argv[1]).shape == (3, 5)";
    python(script, &[out.to_str().unwrap()]);
}

/// Labels and batches are pointed out; a file without labels is said to have none.
#[test]
fn labels_and_batches_are_pointed_out() {
    let _turn = alone();
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("x.h5ad");
    h5ad::write(&path, &dataset(30, symbols(20))).unwrap();
    let o = overview(&path);
    let names = |list: &[cytograd::data::columns::Candidate]| list.iter().map(|c| c.column.clone()).collect::<Vec<_>>();
    assert_eq!((names(&o.likely_labels), names(&o.likely_batches)), (texts(&["cell_type"]), texts(&["batch"])));
    assert_eq!(usable(&o, "train clams"), (true, "--label-key \"cell_type\"".into()));
    assert_eq!((o.gene_names[0].kind.as_str(), o.species.as_deref()), ("gene symbols", Some("human")));
    let mut bare: Dataset = dataset(30, symbols(20));
    bare.obs.columns.clear();
    h5ad::write(&path, &bare).unwrap();
    assert!(!usable(&overview(&path), "train clams").0);
}

/// What is not there is one line.
#[test]
fn a_missing_file_is_one_line() {
    assert!(refused(Path::new("/nowhere/x.h5ad")).contains("there is no such file"));
}
