//! Topic `second_order`: gradients of gradients.

use crate::store::{Case, Topic, assert_close, widen};
use cytograd::Result;
use cytograd::device::Device;
use cytograd::nn::loss;
use cytograd::tensor::op::Activation;
use cytograd::tensor::{Tensor, grad};
use std::collections::BTreeMap;

type Inputs = BTreeMap<String, Tensor>;

fn activate(x: &Tensor, name: &str) -> Result<Tensor> {
    match name {
        "leaky_relu" => x.leaky_relu(0.2),
        "relu" => x.relu(),
        "tanh" => x.tanh(),
        "softplus" => x.softplus(),
        "sigmoid" => x.sigmoid(),
        "elu" => x.elu(1.0),
        "silu" => x.silu(),
        "gelu" => x.gelu(),
        other => panic!("an activation of the file that this test does not know: {other}"),
    }
}

/// The case's network: layer norm before an activation (`ln`), or `h + act(l h)` between layers of
/// one width (`residual`).
fn network(case: &Case, t: &Inputs, x: &Tensor) -> Result<Tensor> {
    let act = case.text("activation").expect("activation");
    let layers = case.param("dims").as_array().expect("dims").len() - 1;
    let flag = |name| case.param(name).as_bool().unwrap_or(false);
    let mut h = x.clone();
    for i in 0..layers {
        let z = h.linear(&t[&format!("w{i}")], &t[&format!("b{i}")], Activation::None)?;
        if i + 1 == layers {
            return Ok(z);
        }
        let z = match flag("ln") {
            true => {
                let n = z.size(1);
                z.layer_norm(&Tensor::ones(&[n], z.device())?, &Tensor::zeros(&[n], z.device())?, 1e-5)?
            }
            false => z,
        };
        let next = activate(&z, act)?;
        h = if flag("residual") && i > 0 { h.add(&next)? } else { next };
    }
    Ok(h)
}

type Outputs = Vec<(String, Tensor)>;

fn evaluate(case: &Case, t: &Inputs) -> Result<Outputs> {
    let named = |pairs: Vec<(&str, Tensor)>| Ok(pairs.into_iter().map(|(n, t)| (n.to_string(), t)).collect());
    let score = |x: &Tensor| network(case, t, x)?.logsumexp()?.sum_all();
    match case.op() {
        "gp" | "gp_onesided" | "gp_zero" | "wgan_critic_loss" => {
            let (real, fake) = (&t["real"], &t["fake"]);
            let mixed = t["e"].mul(real)?.add(&t["e"].neg()?.add_scalar(1.0)?.mul(fake)?)?;
            let slope = grad(&[&network(case, t, &mixed)?.sum_all()?], &[&mixed], true)?.remove(0);
            let excess = match case.op() {
                "gp_zero" => slope.square()?.sum(&[1], false)?,
                "gp_onesided" => slope.norm(&[1], false)?.add_scalar(-1.0)?.relu()?.square()?,
                _ => slope.norm(&[1], false)?.add_scalar(-1.0)?.square()?,
            };
            let mut y = excess.mean_all()?.mul_scalar(case.number("lambda_").expect("lambda") as f32)?;
            if case.op() == "wgan_critic_loss" {
                let mean = |x: &Tensor| network(case, t, x)?.mean_all();
                y = mean(fake)?.sub(&mean(real)?)?.add(&y)?;
            }
            named(vec![("y", y), ("input_grad", slope)])
        }
        "hvp_x" => {
            let energy = score(&t["x"])?.neg()?;
            let gx = grad(&[&energy], &[&t["x"]], true)?.remove(0);
            let hv = grad(&[&gx.mul(&t["v"])?.sum_all()?], &[&t["x"]], false)?.remove(0);
            named(vec![("y", energy), ("gx", gx), ("hv", hv)])
        }
        "hvp_theta" => {
            let y = loss::cross_entropy(&network(case, t, &t["x"])?, &t["target"])?;
            let names = case.names("grad");
            let params: Vec<&Tensor> = names.iter().map(|n| &t[n]).collect();
            let grads = grad(&[&y], &params, true)?;
            let mut along = Tensor::scalar(0.0, y.device())?;
            for (name, g) in names.iter().zip(&grads) {
                along = along.add(&g.mul(&t[&format!("v_{name}")])?.sum_all()?)?;
            }
            let hv = grad(&[&along], &params, false)?;
            let mut outputs = vec![("y".to_string(), y)];
            outputs.extend(names.iter().map(|n| format!("hv_{n}")).zip(hv));
            Ok(outputs)
        }
        "score_norm" | "energy_penalty_residual" => {
            let slope = grad(&[&score(&t["x"])?], &[&t["x"]], true)?.remove(0);
            let y = slope.square()?.sum(&[1], false)?.mean_all()?;
            named(vec![("y", y), ("score", slope)])
        }
        other => panic!("an op of the file that this test cannot run: {other}"),
    }
}

#[test]
fn golden_second_order() {
    let Some(topic) = Topic::open("second_order") else { return };
    let device = Device::cpu(1);
    for case in topic.cases() {
        let mut inputs = Inputs::new();
        for name in case.names("in") {
            let array = case.array(&format!("in/{name}"));
            let tensor = match name.as_str() {
                "target" => Tensor::from_u32(&array.u32(), &array.shape, &device),
                _ => Tensor::from_slice(&array.f32(), &array.shape, &device),
            };
            inputs.insert(name, tensor.expect("input").variable());
        }
        let what = case.name();
        let outputs = evaluate(&case, &inputs).unwrap_or_else(|e| panic!("{what}: {e}"));
        let compare = |path: &str, found: &Tensor| {
            let expected = case.array(path);
            let largest = expected.data.iter().fold(0.0f64, |m, v| m.max(v.abs()));
            // An exact 0 is met exactly, but for what a bias leaves through rounding.
            assert_close(
                &format!("{what} {path}"),
                &widen(&found.to_vec().expect("values")),
                &expected.data,
                0.0,
                2e-4 * largest.max(1e-6),
            );
        };
        for (name, tensor) in &outputs {
            compare(&format!("out/{name}"), tensor);
        }
        let names = case.names("grad");
        let variables: Vec<&Tensor> = names.iter().map(|n| &inputs[n]).collect();
        let grads = grad(&[&outputs[0].1], &variables, false).unwrap_or_else(|e| panic!("{what}: {e}"));
        for (name, g) in names.iter().zip(&grads) {
            compare(&format!("grad/{name}"), g);
        }
    }
}
