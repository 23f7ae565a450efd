//! t-SNE against scikit-learn: affinities and gradient value by value, the plane by figures of merit.

use super::store::{Case, Topic, assert_close};
use cytograd::analysis::metrics::Faithfulness;
use cytograd::analysis::neighbors::Neighbors;
use cytograd::analysis::tsne::{Affinities, TsneConfig, gradient, kl, tsne};

/// The topic's ops of UMAP.
const ELSEWHERE: [&str; 2] = ["umap_smooth_knn", "umap_ab"];

#[test]
fn golden_tsne() {
    let Some(topic) = Topic::open("embed") else { return };
    for case in topic.cases() {
        match case.op() {
            "tsne_affinities" => affinities(&case),
            "tsne_gradient" => slope(&topic, &case),
            "embed_quality" => quality(&case),
            other if ELSEWHERE.contains(&other) => {}
            other => panic!("{}: unknown op {other}", case.name()),
        }
    }
}

/// All other points are neighbours of each point.
fn from_squares(squares: &[f64], n: usize, perplexity: f64) -> Affinities {
    let others = |i: usize| (0..n).filter(move |&j| j != i);
    let indices = (0..n).flat_map(|i| others(i).map(|j| j as u32)).collect();
    let distances = (0..n).flat_map(|i| others(i).map(move |j| squares[i * n + j].sqrt())).collect();
    Affinities::new(&Neighbors { k: n - 1, indices, distances }, perplexity).expect("affinities")
}

fn affinities(case: &Case) {
    let d2 = case.array("in/d2");
    let n = d2.shape[0];
    let found = from_squares(&d2.data, n, case.number("perplexity").expect("perplexity"));
    let mut dense = vec![0.0; n * n];
    for i in 0..n {
        let (columns, values) = found.row(i);
        columns.iter().zip(values).for_each(|(&j, &p)| dense[i * n + j as usize] = p);
    }
    let expected = case.array("out/p").data;
    // The peer searches in binary32 and cuts small values off.
    let large: Vec<usize> = (0..n * n).filter(|&i| expected[i] > 1e-6).collect();
    let pick = |values: &[f64]| -> Vec<f64> { large.iter().map(|&i| values[i]).collect() };
    assert_close(case.name(), &pick(&dense), &pick(&expected), case.rtol().expect("rtol"), 0.0);
}

/// The case's `p` is the result of another case, whose distances give ours.
fn slope(topic: &Topic, case: &Case) {
    let source = case.json["ref"]["p"].as_str().expect("ref").split('/').next().expect("case").to_owned();
    let cases = topic.cases();
    let origin = cases.iter().find(|c| c.name() == source).expect("the case with the distances");
    let d2 = origin.array("in/d2");
    let p = from_squares(&d2.data, d2.shape[0], origin.number("perplexity").expect("perplexity"));
    let y = case.array("in/y").data;
    // The peer's affinities are of binary32.
    let rtol = case.rtol().expect("rtol").max(origin.rtol().expect("rtol"));
    assert_close(case.name(), &[kl(&p, &y)], &case.array("out/kl").data, rtol, 0.0);
    let found: Vec<f64> = gradient(&p, &y, 0.0, 1.0).iter().map(|g| 4.0 * g).collect();
    let expected = case.array("grad/y").data;
    let largest = expected.iter().fold(0.0f64, |m, g| m.max(g.abs()));
    assert_close(case.name(), &found, &expected, rtol, 1e-3 * largest);
}

fn quality(case: &Case) {
    let x = case.array("in/x");
    let k = case.number("neighbors").expect("neighbors") as usize;
    let found = tsne(&x.data, x.shape[1], &TsneConfig::default(), &mut |_| Ok(())).expect("t-SNE");
    let figures = Faithfulness::new(&x.data, x.shape[1], &found.y, 2, k).expect("figures");
    let least = |name: &str| case.array(name).data.into_iter().fold(f64::INFINITY, f64::min);
    let most = |name: &str| case.array(name).data.into_iter().fold(f64::NEG_INFINITY, f64::max);
    println!(
        "{}: trustworthiness {:.4} (peer {:.4}), kept {:.4} (peer {:.4}), KL {:.4} (peer {:.4})",
        case.name(),
        figures.trustworthiness,
        least("out/trust_tsne"),
        figures.kept,
        least("out/knn_tsne"),
        found.kl,
        most("out/kl_tsne")
    );
    assert!(figures.trustworthiness >= least("out/trust_tsne") - 0.01, "{}", case.name());
    assert!(figures.kept >= least("out/knn_tsne") - 0.03, "{}", case.name());
    assert!(found.kl <= most("out/kl_tsne") * 1.03, "{}", case.name());
    if least("out/trust_tsne") > most("out/trust_pca2") {
        assert!(figures.trustworthiness > most("out/trust_pca2"), "{}", case.name());
    }
}
