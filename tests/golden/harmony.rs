//! Harmony against the reference implementations: step by step with every random choice given, and
//! end to end with our own start.

use super::store::{Array, Case, Topic, assert_close};
use cytograd::analysis::harmony::{BatchVariable, Engine, Harmony, HarmonyConfig, Lambda, Penalty, harmonize};
use cytograd::analysis::lisi::lisi;

fn batches(case: &Case) -> Vec<(Vec<u32>, usize)> {
    let names = case.names("in").into_iter().filter(|name| name.starts_with("batch_"));
    names
        .map(|name| {
            let codes = case.array(&format!("in/{name}")).u32();
            let levels = codes.iter().max().map_or(0, |&m| m as usize + 1);
            (codes, levels)
        })
        .collect()
}

fn variables(batches: &[(Vec<u32>, usize)]) -> Vec<BatchVariable<'_>> {
    batches.iter().map(|(codes, levels)| BatchVariable { codes, levels: *levels }).collect()
}

/// The peers' parameters; their penalty is the ratio.
fn config(case: &Case) -> HarmonyConfig {
    let mut config = HarmonyConfig { penalty: Penalty::Ratio, ..HarmonyConfig::default() };
    for key in case.json["params"].as_object().expect("params").keys() {
        let number = case.number(key);
        let value = number.unwrap_or(f64::NAN);
        match key.as_str() {
            "theta" => config.theta = value,
            "sigma" => config.sigma = value,
            "tau" => config.tau = value,
            "block_size" => config.block_size = value,
            "K" | "nclust" => config.n_clusters = Some(value as usize),
            "max_iter_harmony" => config.max_outer = value as usize,
            "max_iter_kmeans" => config.max_inner = value as usize,
            "epsilon_cluster" => config.eps_cluster = value,
            "epsilon_harmony" => config.eps_harmony = value,
            "lamb" => {
                config.lambda = match number {
                    Some(value) => Lambda::Fixed(value),
                    None => Lambda::Estimated { alpha: case.number("alpha").expect("alpha") },
                }
            }
            "alpha" | "iterations" | "peer" | "random_state" => {}
            other => panic!("{}: unknown parameter {other}", case.name()),
        }
    }
    config
}

#[test]
fn golden_harmony() {
    let Some(topic) = Topic::open("harmony") else { return };
    for case in topic.cases() {
        match case.op() {
            "harmony_trace" => trace(&case),
            "harmony_run" => run(&case),
            other => panic!("{}: unknown op {other}", case.name()),
        }
    }
}

fn trace(case: &Case) {
    let z = case.array("in/pcs");
    let (n, d) = (z.shape[0], z.shape[1]);
    let batches = batches(case);
    let config = config(case);
    let start = case.array("in/Y0");
    let orders = case.array("in/orders").u32();
    let rtol = case.rtol().unwrap_or(1e-6);
    let close = |name: &str, found: &[f64]| {
        let expected = case.array(&format!("out/{name}")).data;
        assert_close(&format!("{} {name}", case.name()), found, &expected, rtol, 1e-8);
    };
    let mut engine = Engine::new(&z.data, d, &variables(&batches), &config, &start.data).expect("engine");
    close("R0", engine.assignments());
    close("E0", engine.expected());
    close("O0", engine.observed());
    let mut used = 0;
    let mut next = || {
        used += 1;
        orders[(used - 1) * n..used * n].to_vec()
    };
    let iterations = case.number("iterations").expect("iterations") as usize;
    for iteration in 1..=iterations {
        engine.cluster(&mut next);
        engine.correct();
        if case.has(&format!("out/R_iter{iteration}")) {
            close(&format!("R_iter{iteration}"), engine.assignments());
            close(&format!("Y_iter{iteration}"), engine.centroids());
            close(&format!("E_iter{iteration}"), engine.expected());
            close(&format!("O_iter{iteration}"), engine.observed());
            close(&format!("z_corr_iter{iteration}"), engine.corrected());
        }
    }
    close("z_corr", engine.corrected());
    // The peers report the objective for 2000 cells.
    let scale = 2000.0 / n as f64;
    let objective = engine.objective();
    let part = |f: fn(&cytograd::analysis::harmony::Objective) -> f64| -> Vec<f64> {
        objective.iter().map(|o| f(o) * scale).collect()
    };
    close("objective_kmeans", &part(|o| o.total));
    close("objective_dist", &part(|o| o.distance));
    close("objective_entropy", &part(|o| o.entropy));
    close("objective_cross", &part(|o| o.cross));
    let outer: Vec<f64> = engine.outer_objective().iter().map(|v| v * scale).collect();
    close("objective_harmony", &outer);
    close("rounds", &engine.rounds().iter().map(|&r| r as f64).collect::<Vec<_>>());
}

fn run(case: &Case) {
    let z = case.array("in/pcs");
    let d = z.shape[1];
    let batches = batches(case);
    let config = config(case);
    let found = harmonize(&z.data, d, &variables(&batches), &config).expect("harmony");
    let peer = if case.has("out/r_harmonized") { "out/r_harmonized" } else { "out/harmonypy_0_1_0" };
    let correlations = correlations(&found, &case.array(peer));
    let worst = correlations.iter().copied().fold(f64::INFINITY, f64::min);
    eprintln!("{}: smallest correlation per component {worst:.5}, rounds {:?}", case.name(), found.rounds);
    assert!(worst >= 0.99, "{}: {correlations:?}", case.name());
    if case.has("out/median_lisi_r") {
        let mut mixing = lisi(&found.corrected, d, &batches[0].0, 30.0).expect("lisi");
        mixing.sort_by(f64::total_cmp);
        let median = 0.5 * (mixing[(mixing.len() - 1) / 2] + mixing[mixing.len() / 2]);
        let expected = case.array("out/median_lisi_r").scalar();
        eprintln!("{}: median batch LISI {median:.3}, the peer's {expected:.3}", case.name());
        assert!((median - expected).abs() <= 0.1, "{}: {median} against {expected}", case.name());
    }
}

/// Pearson correlation with the peer's coordinates, one per component.
fn correlations(found: &Harmony, peer: &Array) -> Vec<f64> {
    let d = found.n_dims;
    (0..d)
        .map(|j| {
            let column = |x: &[f64]| -> Vec<f64> {
                let values: Vec<f64> = x.iter().skip(j).step_by(d).copied().collect();
                let mean = values.iter().sum::<f64>() / values.len() as f64;
                values.iter().map(|v| v - mean).collect()
            };
            let (a, b) = (column(&found.corrected), column(&peer.data));
            let sum = |x: &[f64], y: &[f64]| -> f64 { x.iter().zip(y).map(|(x, y)| x * y).sum() };
            sum(&a, &b) / (sum(&a, &a) * sum(&b, &b)).sqrt()
        })
        .collect()
}
