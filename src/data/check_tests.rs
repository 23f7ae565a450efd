use super::*;
use crate::data::preprocess::{ScaleParams, Scaling, Target, log1p, normalize_total};
use crate::data::simulate::{SimulateParams, simulate};
use crate::data::{Csr, Dense};

fn counts() -> Csr {
    let params = SimulateParams { n_cells: 60, n_genes: 80, n_types: 3, ..SimulateParams::default() };
    simulate(&params).unwrap().x.into_csr().unwrap()
}

fn texts(prefix: &str, n: usize) -> Vec<String> {
    (0..n).map(|i| format!("{prefix}{i}")).collect()
}

fn content(x: Csr) -> Content {
    describe(&Matrix::Csr(x)).content
}

#[test]
fn each_step_of_preprocessing_is_recognised() {
    assert_eq!(content(counts()), Content::Counts);
    let (normal, _) = normalize_total(&counts(), Target::Sum(1e4)).unwrap();
    assert!(matches!(content(normal.clone()), Content::Normalised { target: Some(t) } if (t - 1e4).abs() < 1.0));
    let mut logged = normal.clone();
    log1p(&mut logged);
    assert!(matches!(content(logged.clone()), Content::Log1p { target: Some(t) } if (t - 1e4).abs() < 1.0));
    let half: Vec<usize> = (0..40).collect();
    assert_eq!(content(normal.select_cols(&half)), Content::Normalised { target: None });
    assert_eq!(content(logged.select_cols(&half)), Content::Log1p { target: None });
    let scaled = Scaling::fit(&logged).apply(&logged, ScaleParams::default()).unwrap();
    assert_eq!(describe(&Matrix::Dense(scaled)).content, Content::Scaled);
    assert_eq!(content(Csr::zeros(3, 2)), Content::Empty);
}

#[test]
fn corrected_counts_are_fractional() {
    let mut x = counts();
    x.values_mut().iter_mut().enumerate().for_each(|(i, v)| *v += 0.1 + (i % 7) as f32 * 0.043);
    assert_eq!(content(x), Content::Fractional);
}

#[test]
fn the_first_offending_entry_is_named() {
    let (cells, genes) = (texts("cell", 2), texts("gene", 3));
    let names = Names { place: "q.h5ad: X", cells: &cells, genes: &genes };
    let dense = |values: &[f32]| describe(&Matrix::Dense(Dense::new(2, 3, values.to_vec()).unwrap()));
    let layers = texts("l", 1);

    let error = require_counts(&dense(&[1., 0., 2., 0., 2.31, -1.]), names, &layers).unwrap_err();
    let expected =
        "q.h5ad: X: value 2.31 at cell cell1, gene gene1 is not a count; raw counts are needed, try --layer l0";
    assert_eq!(error.to_string(), expected);
    let error = require_counts(&dense(&[1., 0., -2., 0., 2.31, 1.]), names, &[]).unwrap_err();
    assert!(error.to_string().contains("value -2 at cell cell0, gene gene2 is not a count"), "{error}");
    let error = require_finite(&dense(&[1., 0., 0., f32::NAN, 0., 1.]), names).unwrap_err();
    assert!(error.to_string().starts_with("q.h5ad: X: value NaN at cell cell1, gene gene0"), "{error}");
    assert!(require_counts(&dense(&[1., 0., 0., f32::NAN, 0., 1.]), names, &[]).is_err());
    assert!(require_counts(&dense(&[1., 0., 2., 0., 2., 1.]), names, &[]).is_ok());
}

#[test]
fn a_counts_layer_is_the_first_suggestion() {
    let (cells, genes) = (texts("cell", 1), texts("gene", 1));
    let names = Names { place: "X", cells: &cells, genes: &genes };
    let seen = describe(&Matrix::Dense(Dense::new(1, 1, vec![0.5]).unwrap()));
    let error = require_counts(&seen, names, &["spliced".into(), "counts".into()]).unwrap_err();
    assert!(error.to_string().ends_with("try --layer counts"), "{error}");
}

#[test]
fn counts_where_logs_are_needed_are_refused() {
    let (cells, genes) = (texts("cell", 60), texts("gene", 80));
    let names = Names { place: "q.h5ad: X", cells: &cells, genes: &genes };
    let error = require_log1p(&describe(&Matrix::Csr(counts())), names).unwrap_err();
    assert!(error.to_string().contains("holds counts values") && error.exit_code() == 2, "{error}");
    let (mut logged, _) = normalize_total(&counts(), Target::Sum(1e4)).unwrap();
    log1p(&mut logged);
    assert!(require_log1p(&describe(&Matrix::Csr(logged)), names).is_ok());
}

#[test]
fn empty_matrices_and_cells_are_named() {
    let genes = texts("gene", 3);
    let none = Names { place: "q.h5ad: X", cells: &[], genes: &genes };
    let error = require_filled(&describe(&Matrix::Csr(Csr::zeros(0, 3))), none).unwrap_err();
    assert!(error.to_string().contains("the matrix is empty (0 cells x 3 genes)"), "{error}");
    let cells = texts("cell", 3);
    let names = Names { cells: &cells, ..none };
    assert!(require_filled(&describe(&Matrix::Csr(Csr::zeros(3, 3))), names).is_err());
    let x = Matrix::Csr(Csr::from_dense(3, 3, &[1., 0., 0., 0., 0., 0., 0., 0., 0.]).unwrap());
    let error = require_no_empty_cells(&describe(&x), names).unwrap_err();
    assert!(error.to_string().contains("2 cells have no counts, the first is cell1"), "{error}");
}

#[test]
fn repeated_names_are_counted() {
    let names: Vec<String> = ["a", "b", "a", "c", "b", "a"].map(String::from).to_vec();
    assert_eq!(duplicates(&names), [("a", 3), ("b", 2)]);
    let error = require_unique(&names, "gene", "q.h5ad: var").unwrap_err().to_string();
    let expected = "q.h5ad: var: gene name \"a\" occurs 3 times, and 1 more names repeat; make them unique \
                    (var_names_make_unique in anndata)";
    assert_eq!(error, expected);
    assert!(require_unique(&names[..2], "cell", "q").is_ok());
}
