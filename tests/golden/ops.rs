//! Topic `ops`: values and vector-Jacobian products of tensor ops.

use crate::store::{Case, Topic, assert_close, widen};
use cytograd::Result;
use cytograd::device::Device;
use cytograd::nn::{Act, loss};
use cytograd::tensor::op::{Activation, batch_norm_with_running};
use cytograd::tensor::{Dtype, Tensor, grad_with};
use std::collections::BTreeMap;

type Inputs = BTreeMap<String, Tensor>;
type Outputs = Vec<(&'static str, Tensor)>;

/// Inputs that are indices or classes.
const INTEGER: [&str; 2] = ["idx", "target"];

/// The axes that `dim` names, all if it is null.
fn axes(case: &Case, rank: usize) -> Vec<usize> {
    let axis = |v: &serde_json::Value| v.as_i64().map(|a| a.rem_euclid(rank as i64) as usize).expect("an axis");
    match case.param("dim") {
        serde_json::Value::Null => (0..rank).collect(),
        serde_json::Value::Array(list) => list.iter().map(axis).collect(),
        one => vec![axis(one)],
    }
}

fn sizes(case: &Case, name: &str) -> Vec<usize> {
    case.param(name).as_array().expect("sizes").iter().map(|n| n.as_u64().expect("size") as usize).collect()
}

fn number(case: &Case, name: &str) -> f32 {
    case.number(name).unwrap_or_else(|| panic!("{}: no {name}", case.name())) as f32
}

/// `f` along `axis`, for methods that work along the last one.
fn along_last(x: &Tensor, axis: usize, f: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    let mut order: Vec<usize> = (0..x.rank()).collect();
    let last = order.len() - 1;
    order.swap(axis, last);
    f(&x.permute(&order)?)?.permute(&order)
}

fn reduction(case: &Case, elements: Tensor) -> Result<Tensor> {
    match case.text("reduction") {
        Some("none") => Ok(elements),
        Some("sum") => elements.sum_all(),
        Some("mean") => elements.mean_all(),
        Some("batchmean") => elements.sum_all()?.mul_scalar(1.0 / elements.size(0) as f32),
        other => panic!("{}: reduction {other:?}", case.name()),
    }
}

fn evaluate(case: &Case, t: &Inputs) -> Result<Outputs> {
    let x = || &t["x"];
    let (a, b) = (|| &t["a"], || &t["b"]);
    let keep = case.param("keepdim").as_bool().unwrap_or(false);
    let y = match case.op() {
        "add" => a().add(b()),
        "sub" => a().sub(b()),
        "mul" => a().mul(b()),
        "div" => a().div(b()),
        "maximum" => a().maximum(b()),
        "minimum" => a().minimum(b()),
        "pow_tensor" => a().pow(b()),
        "where" => t["cond"].select(a(), b()),
        "masked_fill" => x().masked_fill(&t["mask"], number(case, "value")),
        "neg" => x().neg(),
        "exp" => x().exp(),
        "expm1" => x().expm1(),
        "log" => x().ln(),
        "log1p" => x().log1p(),
        "sqrt" => x().sqrt(),
        "rsqrt" => x().rsqrt(),
        "reciprocal" => x().recip(),
        "square" => x().square(),
        "abs" => x().abs(),
        "sign" => x().sign(),
        "sin" => x().sin(),
        "cos" => x().cos(),
        "tanh" => x().tanh(),
        "sigmoid" => x().sigmoid(),
        "log_sigmoid" => x().log_sigmoid(),
        "silu" => x().silu(),
        "erf" => x().erf(),
        "lgamma" => x().lgamma(),
        "digamma" => x().digamma(),
        "relu" => x().relu(),
        "relu6" => x().relu6(),
        "mish" => x().mish(),
        "hardtanh" => x().clamp(-1.0, 1.0),
        "elu" => x().elu(number(case, "alpha")),
        "leaky_relu" => x().leaky_relu(number(case, "negative_slope")),
        "selu" => x().selu(),
        "gelu" if case.text("approximate") == Some("tanh") => x().gelu_tanh(),
        "gelu" => x().gelu(),
        "softplus" => x().softplus_beta(number(case, "beta")),
        "pow_scalar" => x().pow_scalar(number(case, "exponent")),
        "clamp" => {
            let bound = |name, other: f32| case.number(name).map_or(other, |v| v as f32);
            x().clamp(bound("min", f32::NEG_INFINITY), bound("max", f32::INFINITY))
        }
        "hard_shrink_relu" => hard_shrink(x(), number(case, "lambda_"), number(case, "eps")),
        "matmul" | "bmm" => a().matmul(b()),
        "matvec" => a().matmul(&t["v"].unsqueeze(1)?)?.reshape(&[a().size(0)]),
        "dot" => a().dot(b()),
        "linear" => x().linear(&t["w"], b(), Activation::None),
        "transpose" => x().t(),
        "permute" => x().permute(&sizes(case, "dims")),
        "transpose_matmul" => a().t()?.matmul(&b().t()?),
        "reshape" => {
            let x = if case.text("first").is_some() { x().permute(&[1, 0, 2])? } else { x().clone() };
            x.reshape(&sizes(case, "shape"))
        }
        "expand" => x().expand(&sizes(case, "shape")),
        "sum" => x().sum(&axes(case, x().rank()), keep),
        "mean" => x().mean(&axes(case, x().rank()), keep),
        "amax" => x().amax(&axes(case, x().rank()), keep),
        "amin" => x().amin(&axes(case, x().rank()), keep),
        "max_dim" => {
            let (y, indices) = x().max_with_index(axes(case, x().rank())[0])?;
            return Ok(vec![("y", y), ("indices", indices)]);
        }
        "argmax" => x().argmax(axes(case, x().rank())[0]),
        "var" => x().var(&axes(case, x().rank()), number(case, "correction") as usize, false),
        "std" => x().std(&axes(case, x().rank()), number(case, "correction") as usize, false),
        "prod" => x().prod(axes(case, x().rank())[0]),
        "norm" if number(case, "p") == 1.0 => x().abs()?.sum(&axes(case, x().rank()), keep),
        "norm" => x().norm(&axes(case, x().rank()), keep),
        "cumsum" => x().cumsum(axes(case, x().rank())[0]),
        "softmax" => along_last(x(), axes(case, x().rank())[0], Tensor::softmax),
        "log_softmax" => along_last(x(), axes(case, x().rank())[0], Tensor::log_softmax),
        "softmax_temperature" => x().mul_scalar(1.0 / number(case, "temperature"))?.softmax(),
        "logsumexp" => {
            let axis = axes(case, x().rank())[0];
            let kept = along_last(x(), axis, |x| x.logsumexp()?.unsqueeze(x.rank() - 1))?;
            let mut to = x().shape().to_vec();
            to.remove(axis);
            kept.reshape(&to)
        }
        "gather" => x().gather(axes(case, x().rank())[0], &t["idx"]),
        "index_select" => x().index_select(&t["idx"]),
        "embedding" => t["w"].index_select(&t["idx"]),
        "scatter_add" => {
            let axis = axes(case, x().rank())[0];
            x().add(&t["src"].add_along(axis, &t["idx"], x().size(axis))?)
        }
        "index_add" => x().add(&t["src"].add_rows(&t["idx"], x().size(0))?),
        "concat" | "stack" => {
            let parts: Vec<&Tensor> = ["a", "b", "c"].iter().filter_map(|n| t.get(*n)).collect();
            let axis = axes(case, a().rank())[0];
            if case.op() == "stack" { Tensor::stack(&parts, axis) } else { Tensor::concat(&parts, axis) }
        }
        "slice" => {
            let (start, end, step) = (number(case, "start"), number(case, "end"), number(case, "step"));
            let len = ((end - start) / step).ceil() as usize;
            x().slice(axes(case, x().rank())[0], start as usize, step as usize, len)
        }
        "flip" => x().flip(axes(case, x().rank())[0]),
        "one_hot" => t["idx"].one_hot(number(case, "num_classes") as usize),
        "layer_norm" => x().layer_norm(&t["w"], b(), number(case, "eps")),
        "batch_norm_train" => {
            let (mean, var) = (t["running_mean"].copy()?, t["running_var"].copy()?);
            let (eps, momentum) = (number(case, "eps"), number(case, "momentum"));
            let y = batch_norm_with_running(x(), &t["w"], b(), eps, &mean, &var, momentum)?;
            return Ok(vec![("y", y), ("running_mean", mean), ("running_var", var)]);
        }
        "batch_norm_eval" => {
            let scale = t["w"].mul(&t["running_var"].add_scalar(number(case, "eps"))?.rsqrt()?)?;
            x().sub(&t["running_mean"])?.mul(&scale)?.add(b())
        }
        "dropout_mask" => x().mul(&t["mask"])?.mul_scalar(1.0 / (1.0 - number(case, "p"))),
        "normalize" => {
            let axis = axes(case, x().rank());
            let length = if number(case, "p") == 1.0 { x().abs()?.sum(&axis, true)? } else { x().norm(&axis, true)? };
            x().div(&length.clamp(number(case, "eps"), f32::INFINITY)?)
        }
        "cosine_similarity" => {
            let axis = axes(case, a().rank());
            let floor = |t: &Tensor| t.norm(&axis, false)?.clamp(1e-8, f32::INFINITY);
            a().mul(b())?.sum(&axis, false)?.div(&floor(a())?.mul(&floor(b())?)?)
        }
        "cdist_squared" => a().cdist_squared(b()),
        "cdist" => a().cdist_squared(b())?.safe_sqrt(),
        "cross_entropy_soft" => loss::cross_entropy_soft(&t["logits"], &t["target"]),
        "cross_entropy_hard" if case.text("reduction") == Some("sum") => {
            let hot = t["target"].one_hot(t["logits"].size(1))?;
            t["logits"].cross_entropy_rows(&hot)?.sum_all()
        }
        "cross_entropy_hard" => {
            let smooth = case.number("label_smoothing").unwrap_or(0.0) as f32;
            loss::cross_entropy_weighted(&t["logits"], &t["target"], t.get("weight"), smooth)
        }
        "nll_loss" => {
            let rows = t["logp"].size(0);
            reduction(case, t["logp"].gather(1, &t["target"].reshape(&[rows, 1])?)?.neg()?)
        }
        "bce_with_logits" => reduction(case, loss::bce_with_logits(x(), &t["t"])?),
        "mse" => reduction(case, a().sub(b())?.square()?),
        "l1" => reduction(case, a().sub(b())?.abs()?),
        "smooth_l1" => loss::smooth_l1(a(), b(), number(case, "beta")),
        "kl_div" => reduction(case, loss::kl_div(&t["logq"], &t["p"])?),
        "entropy_from_logits" => loss::entropy(x())?.mean_all(),
        "mixup" => {
            let weight = t["lam"].unsqueeze(1)?;
            a().mul(&weight)?.add(&b().mul(&weight.neg()?.add_scalar(1.0)?)?)
        }
        "composite_reuse" => reuse(x()),
        "composite_resmlp_energy" => {
            let act = Act::LeakyRelu.fused();
            let act = match act {
                Activation::LeakyRelu(_) => Activation::LeakyRelu(number(case, "negative_slope")),
                other => other,
            };
            let h0 = x().linear(&t["w0"], &t["b0"], act)?;
            let h1 = h0.add(&h0.linear(&t["w1"], &t["b1"], act)?)?;
            h1.linear(&t["w2"], &t["b2"], Activation::None)?.logsumexp()
        }
        "composite_attention" => {
            let d = t["q"].size(2) as f32;
            t["q"].matmul(&t["k"].t()?)?.mul_scalar(1.0 / d.sqrt())?.softmax()?.matmul(&t["v"])
        }
        "composite_memory" => {
            let weights = x().matmul(&t["mem"].t()?)?.mul_scalar(1.0 / number(case, "temperature"))?.softmax()?;
            let kept = hard_shrink(&weights, number(case, "shrink"), number(case, "eps"))?;
            let total = kept.abs()?.sum(&[1], true)?.clamp(number(case, "eps"), f32::INFINITY)?;
            kept.div(&total)?.matmul(&t["mem"])
        }
        "composite_mlp_batchnorm_ce" => {
            let h = x().linear(&t["w0"], &t["b0"], Activation::None)?;
            let h = h.batch_norm(&t["g"], &t["be"], number(case, "eps"))?.relu()?;
            loss::cross_entropy(&h.linear(&t["w1"], &t["b1"], Activation::None)?, &t["target"])
        }
        "composite_pair_loss" => pair_loss(&t["delta"], &t["p"], case.number("n").map(|n| n as f32)),
        other => panic!("an op of the file that this test cannot run: {other}"),
    };
    Ok(vec![("y", y?)])
}

/// `relu(x - l) x / (|x - l| + eps)`
fn hard_shrink(x: &Tensor, l: f32, eps: f32) -> Result<Tensor> {
    let over = x.add_scalar(-l)?;
    over.relu()?.mul(x)?.div(&over.abs()?.add_scalar(eps)?)
}

/// `sum(h x + exp(-h h))`, h = tanh x: one value used in several places.
fn reuse(x: &Tensor) -> Result<Tensor> {
    let h = x.tanh()?;
    h.mul(x)?.add(&h.mul(&h)?.neg()?.exp()?)?.sum_all()
}

/// ACSleuth's scoring loss over all ordered pairs of rows.
fn pair_loss(delta: &Tensor, p: &Tensor, n: Option<f32>) -> Result<Tensor> {
    let rows = delta.size(0) as f32;
    let n = match n {
        Some(n) => Tensor::scalar(n, delta.device())?,
        None => p.sum_all()?,
    };
    let m = n.neg()?.add_scalar(rows)?;
    let (p, q) = (p.clone(), p.t()?);
    let (p1, q1) = (p.add_scalar(-1.0)?, q.add_scalar(-1.0)?);
    let mn = m.mul(&n)?;
    let count = |k: &Tensor| k.mul(&k.add_scalar(-1.0)?);
    let weight = count(&m)?.mul(&p.mul(&q)?)?.sub(&mn.mul(&p1.mul(&q)?)?)?.sub(&mn.mul(&p.mul(&q1)?)?)?;
    let weight = weight.add(&count(&n)?.mul(&p1.mul(&q1)?)?)?;
    delta.matmul(&delta.t()?)?.mul(&p)?.mul(&q)?.div(&weight)?.sum_all()?.neg()
}

fn tolerance(op: &str) -> f64 {
    const LOOSE: [&str; 12] = [
        "lgamma",
        "digamma",
        "pow_tensor",
        "pow_scalar",
        "var",
        "std",
        "norm",
        "normalize",
        "layer_norm",
        "batch_norm_train",
        "batch_norm_eval",
        "composite_mlp_batchnorm_ce",
    ];
    if LOOSE.contains(&op) { 2e-4 } else { 2e-5 }
}

fn run(case: &Case, device: &Device) -> Vec<Vec<u32>> {
    let mut inputs = Inputs::new();
    for name in case.names("in") {
        let array = case.array(&format!("in/{name}"));
        let integer = INTEGER.contains(&name.as_str()) && case.op() != "cross_entropy_soft";
        let tensor = match integer {
            true => Tensor::from_u32(&array.u32(), &array.shape, device),
            false => Tensor::from_slice(&array.f32(), &array.shape, device),
        };
        inputs.insert(name, tensor.expect("input").variable());
    }
    let what = case.name().to_string();
    let outputs = evaluate(case, &inputs).unwrap_or_else(|e| panic!("{what}: {e}"));
    // Where the file itself allows more (values far from 0), the rounding of the inputs to f32 alone
    // moves results by about 2^-24 |x| of themselves, whatever the arithmetic.
    let far = match case.rtol() {
        Some(_) if case.has("in/x") => case.array("in/x").data.iter().fold(0.0f64, |m, v| m.max(v.abs())),
        _ => 0.0,
    };
    let rounding = 4.0 * far * f64::from(f32::EPSILON) / 2.0;
    let rtol = tolerance(case.op()) + rounding;
    // The absolute part is scaled by the largest value of the case: a gradient that is 0 by symmetry
    // (a bias before batch norm) is 0 only up to the rounding of its neighbours.
    let paths = case.arrays().filter(|(path, _)| path.starts_with("out/") || path.starts_with("grad/"));
    let largest = paths.flat_map(|(_, array)| array.data).fold(0.0f64, |m, v| m.max(v.abs()));
    let atol = (1e-6 + rounding) * largest;
    let mut bits = Vec::new();
    let mut compare = |label: String, found: &Tensor, path: &str| {
        let expected = case.array(path);
        assert_eq!(found.shape(), expected.shape, "{what}: shape of {label}");
        let values = match found.dtype() {
            Dtype::F32 => widen(&found.to_vec().expect("values")),
            Dtype::U32 => found.to_u32().expect("indices").iter().map(|&i| f64::from(i)).collect(),
        };
        bits.push(values.iter().map(|v| (*v as f32).to_bits()).collect());
        assert_close(&format!("{what} {label}"), &values, &expected.data, rtol, atol);
    };
    for (name, tensor) in &outputs {
        compare(format!("out/{name}"), tensor, &format!("out/{name}"));
    }
    let wanted = case.names("grad");
    if !wanted.is_empty() {
        let ct = case.array("ct/y");
        let ct = Tensor::from_slice(&ct.f32(), &ct.shape, device).expect("cotangent");
        let variables: Vec<&Tensor> = wanted.iter().map(|n| &inputs[n]).collect();
        let grads = grad_with(&[&outputs[0].1], &[&ct], &variables, false).unwrap_or_else(|e| panic!("{what}: {e}"));
        for (name, g) in wanted.iter().zip(&grads) {
            compare(format!("grad/{name}"), g, &format!("grad/{name}"));
        }
    }
    bits
}

#[test]
fn golden_ops_values_and_gradients() {
    let Some(topic) = Topic::open("ops") else { return };
    let (cpu, reference) = (Device::cpu(2), Device::reference());
    for case in topic.cases() {
        let found = run(&case, &cpu);
        assert!(found == run(&case, &reference), "{}: cpu and reference differ in bits", case.name());
    }
}
