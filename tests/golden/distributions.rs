//! Topic `distributions`: log-probabilities, divergences, and (run elsewhere) special functions.

use crate::store::{Case, Topic, assert_close, widen};
use cytograd::Result;
use cytograd::device::Device;
use cytograd::nn::{distributions as d, loss};
use cytograd::tensor::{Tensor, grad};
use std::collections::BTreeMap;

type Inputs = BTreeMap<String, Tensor>;

fn evaluate(case: &Case, t: &Inputs) -> Result<Tensor> {
    match case.op() {
        "kl_normal_normal" | "kl_lognormal_lognormal" => d::normal_kl(&t["mu1"], &t["sd1"], &t["mu2"], &t["sd2"]),
        "kl_normal_std" => d::standard_normal_kl(&t["mu"], &t["sd"]),
        "normal_logprob" => d::normal_log_prob(&t["x"], &t["mu"], &t["sd"]),
        "lognormal_logprob" => d::lognormal_log_prob(&t["x"], &t["mu"], &t["sd"]),
        "poisson_logprob" => d::poisson_log_prob(&t["x"], &t["rate"]),
        "bernoulli_logprob" => d::bernoulli_log_prob(&t["x"], &t["logits"]),
        "categorical_logprob" => d::categorical_log_prob(&t["x"], &t["logits"]),
        "categorical_entropy" => loss::entropy(&t["logits"]),
        "kl_categorical" => d::categorical_kl(&t["p"], &t["q"]),
        "gamma_logprob" => d::gamma_log_prob(&t["x"], &t["a"], &t["rate"]),
        "beta_logprob" => d::beta_log_prob(&t["x"], &t["a"], &t["b"]),
        "dirichlet_logprob" => d::dirichlet_log_prob(&t["x"], &t["a"]),
        "multinomial_logprob" => d::multinomial_log_prob(&t["x"], &t["logits"]),
        other => panic!("an op of the file that this test cannot run: {other}"),
    }
}

fn inputs(case: &Case, device: &Device) -> Inputs {
    let tensor = |name: &String| {
        let array = case.array(&format!("in/{name}"));
        let made = match case.op() == "categorical_logprob" && name == "x" {
            true => Tensor::from_u32(&array.u32(), &array.shape, device),
            false => Tensor::from_slice(&array.f32(), &array.shape, device),
        };
        made.expect("input").variable()
    };
    case.names("in").iter().map(|name| (name.clone(), tensor(name))).collect()
}

/// The smooth distributions, values and gradients, at the tolerances of the ops.
fn smooth(case: &Case, device: &Device) {
    let t = inputs(case, device);
    let what = case.name();
    let y = evaluate(case, &t).unwrap_or_else(|e| panic!("{what}: {e}"));
    let gammas = ["gamma_logprob", "beta_logprob", "dirichlet_logprob", "poisson_logprob", "multinomial_logprob"];
    let rtol = if gammas.contains(&case.op()) { 2e-4 } else { 2e-5 };
    let close = |path: &str, found: &Tensor| {
        let expected = case.array(path).data;
        let largest = expected.iter().fold(0.0f64, |m, v| m.max(v.abs()));
        assert_close(
            &format!("{what} {path}"),
            &widen(&found.to_vec().expect("values")),
            &expected,
            rtol,
            1e-6 * largest,
        );
    };
    close("out/y", &y);
    let names = case.names("grad");
    let variables: Vec<&Tensor> = names.iter().map(|n| &t[n]).collect();
    let total = y.sum_all().expect("sum");
    for (name, g) in names.iter().zip(grad(&[&total], &variables, false).expect("gradient")) {
        close(&format!("grad/{name}"), &g);
    }
}

/// Counts, one value per row. Ours has no epsilon: the value is judged by `y_noeps`, with the
/// tolerance that the golden README gives; the gradients where the peer's epsilon plays no part.
fn counts(case: &Case, device: &Device) {
    let array = |name: &str| case.array(&format!("in/{name}"));
    let n = array("x").data.len();
    // Every row has a theta of its own: one gene per launch row, theta through segments.
    let column = |name: &str| Tensor::from_slice(&array(name).f32(), &[n, 1], device).expect("input").variable();
    let (x, mu, theta) = (column("x").detach(), column("mu"), column("theta"));
    let pi = case.has("in/pi").then(|| column("pi"));
    let segments: Vec<u32> = (0..n as u32).collect();
    let segments = Tensor::from_u32(&segments, &[n], device).expect("segments");
    let (m, r) = (mu.ln().expect("ln"), theta.ln().expect("ln"));
    let zinb = cytograd::tensor::op::Zinb { inflated: pi.is_some(), segmented: true };
    let params: Vec<&Tensor> = [&m, &r].into_iter().chain(&pi).chain([&segments]).collect();
    let y = x.zinb(zinb, &params).unwrap_or_else(|e| panic!("{}: {e}", case.name()));
    let found = widen(&y.to_vec().expect("values"));
    let (exact, plain) = (case.array("out/y_exact").data, case.array("out/y_noeps").data);
    let peer = case.array("out/y_scvi32").data;
    for i in 0..n {
        let allowed = 2.0 * (peer[i] - exact[i]).abs() + 1e-5 * plain[i].abs().max(1.0);
        let error = (found[i] - plain[i]).abs();
        assert!(
            error <= allowed,
            "{} row {i}: {} against {}, error {error:e}, allowed {allowed:e}",
            case.name(),
            found[i],
            plain[i]
        );
    }
    let names = case.names("grad");
    let by_name = |name: &str| match name {
        "mu" => &mu,
        "theta" => &theta,
        _ => pi.as_ref().expect("pi"),
    };
    let variables: Vec<&Tensor> = names.iter().map(|n| by_name(n)).collect();
    let total = y.sum_all().expect("sum");
    for (name, g) in names.iter().zip(grad(&[&total], &variables, false).expect("gradient")) {
        let (expected, found) = (case.array(&format!("grad/{name}")).data, widen(&g.to_vec().expect("values")));
        let (mu, theta, x) = (array("mu").data, array("theta").data, array("x").data);
        for i in 0..n {
            if (exact[i] - plain[i]).abs() > 1e-6 * plain[i].abs().max(1e-3) {
                continue;
            }
            // Derivatives are differences of terms of this size.
            let scale = match name.as_str() {
                "mu" => (x[i] + mu[i]) / mu[i],
                "theta" => (1.0 + x[i] + mu[i]) / theta[i].min(1.0),
                _ => 1.0,
            };
            let allowed = 2e-4 * expected[i].abs() + 1e-5 * scale;
            assert!(
                (found[i] - expected[i]).abs() <= allowed,
                "{} grad/{name} row {i} (x {}, mu {}, theta {}): {} against {}",
                case.name(),
                x[i],
                mu[i],
                theta[i],
                found[i],
                expected[i]
            );
        }
    }
}

/// A matrix of counts with one theta per gene: mean over cells of minus the summed log-probability.
fn count_matrix(case: &Case, device: &Device) {
    let t = inputs(case, device);
    let per_cell = d::counts_log_prob(&t["x"].detach(), &t["mu"], &t["theta"], t.get("pi")).expect("likelihood");
    let y = per_cell.mean_all().expect("mean").neg().expect("neg");
    let close = |path: &str, found: &Tensor, rtol: f64| {
        let expected = case.array(path).data;
        let largest = expected.iter().fold(0.0f64, |m, v| m.max(v.abs()));
        let what = format!("{} {path}", case.name());
        assert_close(&what, &widen(&found.to_vec().expect("values")), &expected, rtol, 1e-5 * largest);
    };
    close("out/y", &y, 2e-5);
    let expected = case.array("out/per_cell").data;
    let sign = if expected[0] > 0.0 { -1.0 } else { 1.0 };
    close("out/per_cell", &per_cell.mul_scalar(sign).expect("sign"), 2e-5);
    let names = case.names("grad");
    let variables: Vec<&Tensor> = names.iter().map(|n| &t[n]).collect();
    for (name, g) in names.iter().zip(grad(&[&y], &variables, false).expect("gradient")) {
        close(&format!("grad/{name}"), &g, 2e-4);
    }
}

#[test]
fn golden_distributions() {
    let Some(topic) = Topic::open("distributions") else { return };
    let device = Device::cpu(1);
    for case in topic.cases() {
        match case.op() {
            "nb" | "zinb" => counts(&case, &device),
            "nb_matrix" | "zinb_matrix" => count_matrix(&case, &device),
            _ if crate::special::run(&case) || crate::chi2::run(&case) => {}
            _ => smooth(&case, &device),
        }
    }
}
