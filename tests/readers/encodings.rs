//! h5ad in every encoding from anndata 0.6 to today, and what we write of it.

use crate::files::{alone, every_encoding, python};
use cytograd::data::h5ad::Additions;
use cytograd::data::{Column, Matrix, Source, Which, open, results};

const ENCODINGS: [&str; 16] = [
    "csr_gzip.h5ad",
    "csr_lzf.h5ad",
    "csc_gzip.h5ad",
    "csc_lzf.h5ad",
    "dense_gzip.h5ad",
    "dense_lzf.h5ad",
    "dtype_float64.h5ad",
    "dtype_int32.h5ad",
    "dtype_int64.h5ad",
    "dtype_uint16.h5ad",
    "as_dense.h5ad",
    "sparse_as_dense.h5ad",
    "backed.h5ad",
    "wide_indices.h5ad",
    "old_0_7.h5ad",
    "old_0_6.h5ad",
];

#[test]
fn every_encoding_of_anndata_reads_to_the_same_data() {
    let _turn = alone();
    let Some(folder) = every_encoding() else { return };
    let at = |name: &str| folder.join(name);
    let expected = open(&at("expected.h5ad")).unwrap().dataset().unwrap();
    let x = expected.x.to_csr().unwrap();
    for name in ENCODINGS.iter().chain(&["dtype_float16.h5ad"]) {
        let source = open(&at(name)).unwrap();
        assert_eq!(source.format(), "h5ad");
        let found = source.dataset().unwrap();
        assert!(found.skipped.is_empty(), "{name}: {:?}", found.skipped);
        assert_eq!(found.x.to_csr().unwrap(), x, "{name}: X");
        for (layer, matrix) in &found.layers {
            assert_eq!(matrix.to_csr().unwrap(), x, "{name}: {layer}");
        }
        assert_eq!((&found.obs.index, &found.var.index), (&expected.obs.index, &expected.var.index), "{name}");
        for (column, values) in &expected.obs.columns {
            assert_eq!(found.obs.get(column), Some(values), "{name}: obs {column}");
        }
        for (column, values) in &expected.var.columns {
            let ids = found.var.get(column).unwrap();
            let same = (0..values.len()).all(|row| ids.text(row) == values.text(row));
            assert!(same, "{name}: var {column}");
        }
        assert!(found.uns.iter().any(|(key, _)| key == "note"), "{name}: uns");
        assert!(!found.uns.iter().any(|(key, _)| key.ends_with("_categories")), "{name}: lists are no content");
        assert!(found.obsm.iter().any(|(key, _)| key == "X_pca"), "{name}: obsm");
    }
    let ones = open(&at("dtype_bool.h5ad")).unwrap().matrix(&Which::X).unwrap();
    assert_eq!(ones.row_sums().iter().sum::<f64>(), x.values().iter().filter(|v| **v != 0.0).count() as f64);
    for (name, genes) in [("raw.h5ad", 12), ("old_0_6.h5ad", 20)] {
        let found = open(&at(name)).unwrap().dataset().unwrap();
        let raw = found.raw.expect("raw");
        assert_eq!((raw.x.to_csr().unwrap(), found.var.n_rows()), (x.clone(), genes), "{name}");
        assert_eq!(raw.var.index, expected.var.index, "{name}");
    }
    let notes = |name: &str| open(&at(name)).unwrap().notes().to_vec();
    assert!(notes("old_0_6.h5ad")[0].contains("old anndata"));
    assert!(notes("csr_gzip.h5ad").is_empty());
}

#[test]
fn missing_values_stay_missing() {
    let _turn = alone();
    let Some(folder) = every_encoding() else { return };
    let obs = open(&folder.join("nullable.h5ad")).unwrap().obs().clone();
    for name in ["maybe_n", "maybe"] {
        let column = obs.get(name).unwrap();
        let missing = (0..30).map(|row| column.text(row).is_none());
        assert_eq!(missing.collect::<Vec<_>>(), (0..30).map(|row| row % 3 == 0).collect::<Vec<_>>(), "{name}");
    }
    let Some(Column::Categorical(gone)) = obs.get("gone") else { panic!("no column \"gone\"") };
    assert!(gone.categories.is_empty() && gone.codes.iter().all(|&code| code == -1));
    assert!(obs.get("partly").unwrap().text(0).is_none() && obs.get("partly").unwrap().text(1).is_some());
}

/// Every row range of every matrix is what the whole matrix has there.
pub fn rows_agree_with_the_whole(source: &dyn Source) {
    let n = source.obs().n_rows();
    for stored in source.matrices() {
        let whole = source.matrix(&stored.which).unwrap();
        assert_eq!((whole.n_rows(), whole.n_cols()), (stored.n_rows, stored.n_cols));
        for span in [0..n, 0..1, 3..4, n / 3..n - 1, n - 1..n, 2..2] {
            let part = source.rows(&stored.which, span.clone()).unwrap();
            let rows: Vec<usize> = span.clone().collect();
            let expected = whole.select_rows(&rows);
            assert_eq!(
                part.to_csr().unwrap(),
                expected.to_csr().unwrap(),
                "{} {} {span:?}",
                source.name(),
                stored.which
            );
            assert!(matches!((&part, &whole), (Matrix::Csr(_), Matrix::Csr(_)) | (Matrix::Dense(_), Matrix::Dense(_))));
        }
        assert!(source.rows(&stored.which, 0..n + 1).is_err());
    }
    assert!(source.rows(&Which::Layer("no such layer".into()), 0..1).is_err());
}

#[test]
fn rows_of_every_encoding_agree_with_the_whole() {
    let _turn = alone();
    let Some(folder) = every_encoding() else { return };
    for name in ENCODINGS.iter().chain(&["raw.h5ad", "dtype_bool.h5ad", "dtype_float16.h5ad"]) {
        rows_agree_with_the_whole(open(&folder.join(name)).unwrap().as_ref());
    }
}

#[test]
fn what_we_write_of_every_encoding_opens_without_a_warning_and_keeps_everything() {
    let _turn = alone();
    let Some(folder) = every_encoding() else { return };
    let at = |name: &str| folder.join(name);
    let text = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    let added =
        |n: i64| Additions { obs: vec![("added".into(), Column::Int((0..n).collect()))], ..Additions::default() };
    let mut arguments = Vec::new();
    for name in ENCODINGS.iter().chain(&["raw.h5ad", "nullable.h5ad", "dtype_bool.h5ad"]) {
        let (whole, part) = (at(&format!("whole_{name}")), at(&format!("part_{name}")));
        let notes = results::write(&at(name), &whole, &added(30), None).unwrap();
        assert_eq!(notes.is_empty(), !name.starts_with("old"), "{name}: {notes:?}");
        results::write(&at(name), &part, &added(3), Some(&[2, 3, 17])).unwrap();
        arguments.extend([text(&at(name)), text(&whole), String::new()]);
        arguments.extend([text(&at(name)), text(&part), "2,3,17".to_owned()]);
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    python(include_str!("compare.py"), &arguments);
}
