//! Principal components, neighbours and the neighbour graph against scikit-learn and scanpy.

use super::store::{Case, Topic, assert_close};
use cytograd::analysis::neighbors::{connectivities, knn};
use cytograd::analysis::pca::{DenseRows, Pca};

/// The topic's other ops; `preprocess.rs` runs them.
const ELSEWHERE: [&str; 7] = ["counts", "qc", "filter", "normalize_log1p", "normalize_median", "hvg", "scale"];

#[test]
fn golden_embedding_inputs() {
    let Some(topic) = Topic::open("preprocess") else { return };
    for case in topic.cases() {
        match case.op() {
            "pca" => pca(&case),
            "knn" => neighbours(&case),
            "connectivities" => graph(&case),
            other if ELSEWHERE.contains(&other) => {}
            other => panic!("{}: unknown op {other}", case.name()),
        }
    }
}

fn pca(case: &Case) {
    let x = case.array("in/x");
    let (n, g) = (x.shape[0], x.shape[1]);
    let k = case.number("n_comps").expect("n_comps") as usize;
    let found = Pca::fit(&DenseRows { values: &x.data[..], n_cols: g }, k, 0).expect("pca");
    let rtol = case.rtol().unwrap_or(1e-6);
    let atol = case.json["atol"].as_f64().unwrap_or(1e-7);
    let close = |name: &str, found: &[f64], expected: &[f64]| {
        assert_close(&format!("{} {name}", case.name()), found, expected, rtol, atol);
    };
    let singular = case.array("out/singular_values").data;
    close("singular_values", &found.singular_values, &singular);
    close("variance", &found.variance, &case.array("out/variance").data);
    close("variance_ratio", &found.variance_ratio, &case.array("out/variance_ratio").data);
    let loadings = case.array("out/abs_loadings");
    let scores = case.array("out/abs_scores");
    let listed = loadings.shape[1];
    let apart = |a: usize, b: usize| (singular[a] / singular[b] - 1.0).abs() > 0.01;
    for c in (0..listed).filter(|&c| (c == 0 || apart(c - 1, c)) && apart(c, c + 1)) {
        let column = |x: &[f64]| -> Vec<f64> { x.iter().skip(c).step_by(listed).copied().collect() };
        let own: Vec<f64> = found.components[c * g..(c + 1) * g].iter().map(|v| v.abs()).collect();
        close(&format!("loadings of component {c}"), &own, &column(&loadings.data));
        let own: Vec<f64> = (0..n).map(|i| found.scores[i * k + c].abs()).collect();
        close(&format!("scores of component {c}"), &own, &column(&scores.data));
    }
}

fn neighbours(case: &Case) {
    assert_eq!(case.text("metric"), Some("euclidean"), "{}", case.name());
    let x = case.array("in/x");
    let k = case.number("k").expect("k") as usize;
    let found = knn(&x.data, x.shape[1], k).expect("neighbours");
    assert_eq!(found.indices, case.array("out/indices").u32(), "{}", case.name());
    let rtol = case.rtol().unwrap_or(1e-9);
    assert_close(case.name(), &found.distances, &case.array("out/distances").data, rtol, 1e-10);
}

fn graph(case: &Case) {
    assert_eq!(case.text("method"), Some("umap"), "{}", case.name());
    let x = case.array("in/x");
    let k = case.number("n_neighbors").expect("n_neighbors") as usize - 1;
    let found = connectivities(&knn(&x.data, x.shape[1], k).expect("neighbours")).expect("graph");
    let (mut rows, mut values) = (Vec::new(), Vec::new());
    for row in 0..found.n_rows() {
        let (columns, members) = found.row(row);
        rows.extend(columns.iter().map(|_| row as u32));
        values.extend(members.iter().map(|&v| f64::from(v)));
    }
    assert_eq!(rows, case.array("out/row").u32(), "{}", case.name());
    assert_eq!(found.indices(), case.array("out/col").u32(), "{}", case.name());
    let atol = case.json["atol"].as_f64().unwrap_or(1e-6);
    assert_close(case.name(), &values, &case.array("out/value").data, case.rtol().unwrap_or(1e-4), atol);
}
