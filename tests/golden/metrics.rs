//! Topic `metrics`: every op, every output of every case.

use crate::store::{Case, Topic, assert_close};
use cytograd::analysis::lisi::{clisi, exact_neighbors, ilisi, lisi, lisi_knn};
use cytograd::analysis::metrics::calibration::Probabilities;
use cytograd::analysis::metrics::mixing::{entropy_batch_mixing, graph_connectivity, kbet, pcr_comparison};
use cytograd::analysis::metrics::silhouette::{
    Distance, Others, bras, calinski_harabasz, davies_bouldin, isolated_labels, silhouette, silhouette_batch,
    silhouette_label, silhouette_samples,
};
use cytograd::analysis::metrics::{Binning, ClusterAgreement, Confusion, Ranking, correlation};

#[test]
fn golden_metrics_every_case() {
    let Some(topic) = Topic::open("metrics") else { return };
    for case in topic.cases() {
        for name in case.names("out") {
            let found = match case.op() {
                "binary_ranking" => binary_ranking(&case, &name),
                "classification" => classification(&case, &name),
                "clustering_agreement" => clustering_agreement(&case, &name),
                "calibration" => calibration(&case, &name),
                "silhouette" => silhouettes(&case, &name),
                "kbet" => kbets(&case, &name),
                "lisi_knn" => lisi_of_neighbours(&case, &name),
                "lisi" => lisi_of_points(&case, &name),
                "entropy_batch_mixing" => mixing_entropy(&case, &name),
                "pcr_comparison" => regression(&case, &name),
                "correlation" => correlations(&case, &name),
                op => panic!("{}: unknown op {op}", case.name()),
            };
            let rtol = case.rtol().unwrap_or(1e-10);
            let atol = case.json["atol"].as_f64().unwrap_or(1e-12);
            let expected = case.array(&format!("out/{name}")).data;
            assert_close(&format!("{} {name}", case.name()), &found, &expected, rtol, atol);
        }
    }
}

fn unknown(case: &Case, name: &str) -> ! {
    panic!("{}: {} has an unknown output {name}", case.name(), case.op())
}

/// Labels of any sign as codes in the same order.
fn codes(case: &Case, path: &str) -> Vec<u32> {
    let labels = case.array(path).data;
    let mut values = labels.clone();
    values.sort_by(f64::total_cmp);
    values.dedup();
    labels.iter().map(|l| values.partition_point(|v| v < l) as u32).collect()
}

/// A matrix and its number of columns.
fn matrix(case: &Case, path: &str) -> (Vec<f64>, usize) {
    let array = case.array(path);
    (array.data, array.shape[1])
}

fn binary_ranking(case: &Case, name: &str) -> Vec<f64> {
    let positive: Vec<bool> = case.array("in/y").data.iter().map(|&y| y == 1.0).collect();
    let ranking = Ranking::new(&positive, &case.array("in/score").data).unwrap();
    vec![match name {
        "auroc" => ranking.auroc(),
        "average_precision" => ranking.average_precision(),
        "fpr_at_tpr95" => ranking.fpr_at_tpr(0.95),
        "pr_auc_trapezoid" => ranking.pr_auc_trapezoid(),
        _ => unknown(case, name),
    }]
}

fn classification(case: &Case, name: &str) -> Vec<f64> {
    let classes = case.number("classes").expect("classes") as usize;
    let table = Confusion::new(&case.array("in/y_true").u32(), &case.array("in/y_pred").u32(), classes).unwrap();
    let one = match name {
        "confusion" => return table.counts.iter().map(|&c| c as f64).collect(),
        "f1_per_class" => return (0..classes).map(|k| table.class(k).f1).collect(),
        "accuracy" => table.accuracy(),
        "balanced_accuracy" => table.balanced_accuracy(),
        "cohen_kappa" => table.cohen_kappa(),
        "mcc" => table.mcc(),
        "f1_binary" => table.class(1).f1,
        "f1_macro" => table.macro_average().f1,
        "precision_macro" => table.macro_average().precision,
        "recall_macro" => table.macro_average().recall,
        "f1_micro" => table.micro_average().f1,
        "precision_micro" => table.micro_average().precision,
        "recall_micro" => table.micro_average().recall,
        "f1_weighted" => table.weighted_average().f1,
        "precision_weighted" => table.weighted_average().precision,
        "recall_weighted" => table.weighted_average().recall,
        _ => unknown(case, name),
    };
    vec![one]
}

fn clustering_agreement(case: &Case, name: &str) -> Vec<f64> {
    let g = ClusterAgreement::between(&codes(case, "in/a"), &codes(case, "in/b")).unwrap();
    vec![match name {
        "nmi" => g.nmi,
        "nmi_geometric" => g.nmi_geometric,
        "nmi_min" => g.nmi_min,
        "nmi_max" => g.nmi_max,
        "ari" => g.ari,
        "ami" => g.ami,
        "homogeneity" => g.homogeneity,
        "completeness" => g.completeness,
        "fowlkes_mallows" => g.fowlkes_mallows,
        "mutual_info" => g.mutual_info,
        _ => unknown(case, name),
    }]
}

fn calibration(case: &Case, name: &str) -> Vec<f64> {
    let ((probs, classes), truth) = (matrix(case, "in/probs"), case.array("in/y").u32());
    let p = Probabilities::new(&probs, classes, &truth).unwrap();
    let binned = name.rsplit_once('_').and_then(|(figure, bins)| Some((figure, bins.parse::<usize>().ok()?)));
    vec![match (name, binned) {
        (_, Some(("ece_width", bins))) => p.reliability(bins, Binning::WidthCeil).unwrap().ece(),
        (_, Some(("mce_width", bins))) => p.reliability(bins, Binning::WidthCeil).unwrap().mce(),
        (_, Some(("ece_mass", bins))) => p.reliability(bins, Binning::Mass).unwrap().ece(),
        (_, Some(("classwise_ece", bins))) => p.classwise_ece(bins, Binning::WidthCeil).unwrap(),
        ("nll", _) => p.nll(),
        ("brier", _) => p.brier(),
        ("accuracy", _) => p.top_k_accuracy(1),
        ("top2_accuracy", _) => p.top_k_accuracy(2),
        ("auroc_ovr_macro", _) => p.auroc_ovr_macro().unwrap(),
        _ => unknown(case, name),
    }]
}

fn silhouettes(case: &Case, name: &str) -> Vec<f64> {
    let (x, dims) = matrix(case, "in/x");
    let (label, batch) = (codes(case, "in/label"), codes(case, "in/batch"));
    let one = match name {
        "silhouette_samples" => silhouette_samples(&x, dims, &label, Distance::Euclidean, Others::Nearest),
        "silhouette" => silhouette(&x, dims, &label).map(|v| vec![v]),
        "silhouette_label" => silhouette_label(&x, dims, &label).map(|v| vec![v]),
        "silhouette_batch" => silhouette_batch(&x, dims, &label, &batch).map(|v| vec![v]),
        "bras" => bras(&x, dims, &label, &batch).map(|v| vec![v]),
        "isolated_labels" => isolated_labels(&x, dims, &label, &batch).map(|v| vec![v]),
        "davies_bouldin" => davies_bouldin(&x, dims, &label).map(|v| vec![v]),
        "calinski_harabasz" => calinski_harabasz(&x, dims, &label).map(|v| vec![v]),
        _ => unknown(case, name),
    };
    one.unwrap()
}

fn kbets(case: &Case, name: &str) -> Vec<f64> {
    let indices = case.array("in/knn_indices");
    let alpha = case.number("alpha").expect("alpha");
    let result = kbet(&indices.u32(), indices.shape[1], &codes(case, "in/batch"), alpha).unwrap();
    match name {
        "acceptance_rate" => vec![result.acceptance_rate],
        "chi2" => result.chi2,
        "p_value" => result.p_value,
        _ => unknown(case, name),
    }
}

fn lisi_of_neighbours(case: &Case, name: &str) -> Vec<f64> {
    let (indices, distances) = (case.array("in/knn_indices"), case.array("in/knn_distances").data);
    let (k, indices) = (indices.shape[1], indices.u32());
    let (label, batch) = (codes(case, "in/label"), codes(case, "in/batch"));
    let perplexity = case.number("perplexity").expect("perplexity");
    match name {
        "lisi_batch" => lisi_knn(&indices, &distances, k, &batch, perplexity).unwrap(),
        "lisi_label" => lisi_knn(&indices, &distances, k, &label, perplexity).unwrap(),
        "ilisi" => vec![ilisi(&indices, &distances, k, &batch).unwrap()],
        "clisi" => vec![clisi(&indices, &distances, k, &label).unwrap()],
        "graph_connectivity" => vec![graph_connectivity(&indices, k, &label).unwrap()],
        _ => unknown(case, name),
    }
}

fn lisi_of_points(case: &Case, name: &str) -> Vec<f64> {
    let (x, dims) = matrix(case, "in/x");
    let codes = match name.rsplit_once('_') {
        Some(("lisi" | "harmonypy", which @ ("batch" | "label"))) => codes(case, &format!("in/{which}")),
        _ => unknown(case, name),
    };
    lisi(&x, dims, &codes, case.number("perplexity").expect("perplexity")).unwrap()
}

fn mixing_entropy(case: &Case, name: &str) -> Vec<f64> {
    assert_eq!(name, "y");
    let (x, dims) = matrix(case, "in/x");
    let k = case.number("k").expect("k") as usize;
    let (indices, _) = exact_neighbors(&x, dims, k).unwrap();
    vec![entropy_batch_mixing(&indices, indices.len() * dims / x.len(), &codes(case, "in/batch")).unwrap()]
}

fn regression(case: &Case, name: &str) -> Vec<f64> {
    assert_eq!(name, "y");
    let ((pre, dims_pre), (post, dims_post)) = (matrix(case, "in/x_pre"), matrix(case, "in/x_post"));
    vec![pcr_comparison(&pre, dims_pre, &post, dims_post, &codes(case, "in/batch")).unwrap()]
}

fn correlations(case: &Case, name: &str) -> Vec<f64> {
    let (a, b) = (case.array("in/a").data, case.array("in/b").data);
    let figure = match name {
        "pearson" => correlation::pearson,
        "spearman" => correlation::spearman,
        "kendall" => correlation::kendall,
        "r2" => correlation::r2,
        "mse" => correlation::mse,
        "mae" => correlation::mae,
        _ => unknown(case, name),
    };
    vec![figure(&a, &b).unwrap()]
}
