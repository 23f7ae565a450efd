//! Counts to scaled values against scanpy; `pca`, `knn` and `connectivities` of the same topic
//! are checked where those live.
//!
//! Tolerances: what is computed in f64 from counts keeps the file's own; what is stored as f32 on
//! the way gets 1e-6, the file's figure for float32 results.

use crate::store::{Case, Topic, assert_close, widen};
use cytograd::data::Csr;
use cytograd::data::preprocess::*;

const ELSEWHERE: [&str; 3] = ["pca", "knn", "connectivities"];

fn counts(case: &Case) -> Csr {
    let array = case.array("in/counts");
    Csr::from_dense(array.shape[0], array.shape[1], &array.f32()).unwrap()
}

fn log_normalised(case: &Case) -> Csr {
    let target = case.number("target_sum").unwrap_or(1e4);
    let (mut x, _) = normalize_total(&counts(case), Target::Sum(target)).unwrap();
    log1p(&mut x);
    x
}

fn dense_rows(x: &Csr, rows: &[usize]) -> Vec<f64> {
    widen(&x.select_rows(rows).to_dense())
}

fn as_f64(values: &[usize]) -> Vec<f64> {
    values.iter().map(|&v| v as f64).collect()
}

#[test]
fn golden_preprocess() {
    let Some(topic) = Topic::open("preprocess") else { return };
    for case in topic.cases() {
        match case.op() {
            "counts" => assert_close(case.name(), &counts(&case).row_sums(), &case.array("out/total").data, 0.0, 0.0),
            "qc" => qc(&case),
            "filter" => filter(&case),
            "normalize_log1p" => lognorm(&case),
            "normalize_median" => norm_median(&case),
            "hvg" => hvg(&topic, &case),
            "scale" => scale(&case),
            other => assert!(ELSEWHERE.contains(&other), "{}: unknown op {other}", case.name()),
        }
    }
}

fn qc(case: &Case) {
    let found = qc_metrics(&counts(case), 50);
    let check = |name: &str, values: &[f64]| {
        assert_close(&format!("{} {name}", case.name()), values, &case.array(&format!("out/{name}")).data, 1e-9, 1e-10);
    };
    check("total_counts", &found.total_counts);
    check("n_genes", &as_f64(&found.n_genes));
    check("pct_top50", &found.percent_top);
    check("gene_mean", &found.gene_mean);
    check("gene_cells", &as_f64(&found.gene_cells));
}

fn filter(case: &Case) {
    let x = counts(case);
    let cells = filter_cells(&x, case.number("min_genes").unwrap() as usize);
    let genes = filter_genes(&x.select_rows(&cells), case.number("min_cells").unwrap() as usize);
    assert_eq!(cells, case.array("out/cells").usize(), "{}", case.name());
    assert_eq!(genes, case.array("out/genes").usize(), "{}", case.name());
}

fn lognorm(case: &Case) {
    let x = log_normalised(case);
    let check = |name: &str, values: &[f64]| {
        assert_close(&format!("{} {name}", case.name()), values, &case.array(&format!("out/{name}")).data, 1e-6, 1e-6);
    };
    check("y", &dense_rows(&x, &(0..x.n_rows()).step_by(5).collect::<Vec<_>>()));
    check("row0", &dense_rows(&x, &[0]));
    check("row_last", &dense_rows(&x, &[x.n_rows() - 1]));
    check("col_sums", &x.col_sums());
}

fn norm_median(case: &Case) {
    let (x, target) = normalize_total(&counts(case), Target::Median).unwrap();
    assert_close(case.name(), &[target], &case.array("out/target").data, 1e-9, 1e-10);
    assert_close(case.name(), &x.col_sums(), &case.array("out/col_sums").data, 1e-6, 1e-6);
    assert_close(case.name(), &dense_rows(&x, &[0]), &case.array("out/row0").data, 1e-6, 1e-6);
}

fn hvg(topic: &Topic, case: &Case) {
    let flavor = match case.text("flavor").unwrap() {
        "seurat" => Flavor::Seurat,
        "cell_ranger" => Flavor::CellRanger,
        "seurat_v3" => Flavor::SeuratV3,
        other => panic!("{}: unknown flavor {other}", case.name()),
    };
    let select = match case.number("n_top_genes") {
        Some(n) => Select::Top(n as usize),
        None => Select::Cutoffs(Cutoffs {
            min_mean: case.number("min_mean").unwrap(),
            max_mean: case.number("max_mean").unwrap(),
            min_disp: case.number("min_disp").unwrap(),
            max_disp: case.number("max_disp").unwrap(),
        }),
    };
    let batch = case.text("batch_key").map(|key| {
        let home = case.json["ref"]["counts"].as_str().expect("counts of another case");
        topic.read(&home.replace("counts/in/counts", &format!("counts/in/{key}"))).u32()
    });
    let x = if flavor == Flavor::SeuratV3 { counts(case) } else { log_normalised(case) };
    let params = HvgParams { flavor, select, span: case.number("span").unwrap_or(0.3), ..HvgParams::default() };
    let found = highly_variable_genes(&x, batch.as_deref(), &params).unwrap();

    let (rtol, atol) = (case.rtol().unwrap(), case.json["atol"].as_f64().unwrap());
    let undefined = |values: &[f64], mark: f64| values.iter().map(|v| if *v == mark { f64::NAN } else { *v }).collect();
    let check = |name: &str, values: &[f64]| {
        let expected: Vec<f64> = undefined(&case.array(&format!("out/{name}")).data, -999.0);
        assert_close(&format!("{} {name}", case.name()), values, &expected, rtol, atol);
    };
    check("means", &found.means);
    if let Some(rank) = &found.rank {
        check("variances", &found.dispersions);
        check("variances_norm", &found.dispersions_norm);
        let expected: Vec<f64> = undefined(&case.array("out/rank").data, -1.0);
        if batch.is_none() {
            check_ranks(case.name(), rank, &expected, &found.dispersions_norm);
        }
        let rho = spearman(&found.dispersions_norm, &case.array("out/variances_norm").data);
        assert!(rho > 0.999, "{}: variances correlate by {rho}", case.name());
        let theirs = case.array("out/highly_variable").data;
        let both = found.selected.iter().zip(&theirs).filter(|(ours, theirs)| **ours && **theirs == 1.0).count();
        let wanted = theirs.iter().sum::<f64>();
        eprintln!("{}: {both} of {wanted} genes, rank correlation {rho:.6}", case.name());
        assert!(both as f64 >= 0.95 * wanted, "{}: {both} of {wanted} genes", case.name());
        return;
    }
    check("dispersions", &found.dispersions);
    check("dispersions_norm", &found.dispersions_norm);
    let selected: Vec<f64> = found.selected.iter().map(|&s| f64::from(u8::from(s))).collect();
    assert_close(&format!("{} selection", case.name()), &selected, &case.array("out/highly_variable").data, 0.0, 0.0);
}

/// The peer orders genes of exactly equal variance by chance (an unstable sort), and within a batch
/// of few cells most variances have equals: a rank must agree where the variance is unique, and
/// without batches only.
fn check_ranks(name: &str, found: &[f64], expected: &[f64], variances: &[f64]) {
    let close = |a: f64, b: f64| (a - b).abs() <= 1e-12 * b.abs();
    let unique = |g: usize| variances.iter().filter(|v| close(**v, variances[g])).count() == 1;
    let agree = |g: usize| found[g] == expected[g] || found[g].is_nan() && expected[g].is_nan();
    let wrong: Vec<usize> = (0..found.len()).filter(|&g| !agree(g) && unique(g)).collect();
    assert!(wrong.is_empty(), "{name}: ranks differ at genes {wrong:?}");
}

fn spearman(a: &[f64], b: &[f64]) -> f64 {
    // Mean rank of each value among its equals.
    let ranks = |x: &[f64]| -> Vec<f64> {
        let rank = |v: &f64| {
            let (below, equal) = x.iter().fold((0, 0), |(l, e), o| (l + usize::from(o < v), e + usize::from(o == v)));
            below as f64 + (equal as f64 - 1.0) / 2.0
        };
        x.iter().map(rank).collect()
    };
    let (a, b) = (ranks(a), ranks(b));
    let mean = (a.len() as f64 - 1.0) / 2.0;
    let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(p, q)| (p - mean) * (q - mean)).sum::<f64>();
    dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt()
}

fn scale(case: &Case) {
    let genes = case.array("out/genes").usize();
    let x = log_normalised(case).select_cols(&genes);
    let scaling = Scaling::fit(&x);
    let max_value = case.number("max_value").map(|v| v as f32);
    let params = ScaleParams { zero_center: case.param("zero_center").as_bool().unwrap(), max_value };
    let y = scaling.apply(&x, params).unwrap();
    let clipped = y.values().iter().filter(|v| Some(v.abs()) == max_value).count();
    assert_eq!(clipped as f64, case.array("out/clipped").scalar(), "{} clipped", case.name());
    let check = |name: &str, values: &[f64]| {
        assert_close(&format!("{} {name}", case.name()), values, &case.array(&format!("out/{name}")).data, 1e-6, 1e-6);
    };
    check("mean", &scaling.mean);
    check("std", &scaling.std);
    check("y", &widen(y.values()));
}
