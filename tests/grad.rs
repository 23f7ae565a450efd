//! Gradients against finite differences, to second order unless a rule says otherwise.

use cytograd::Result;
use cytograd::device::Device;
use cytograd::tensor::{Tensor, check_grads};

type F = fn(&[Tensor]) -> Result<Tensor>;

fn input(values: &[f32], shape: &[usize], device: &Device) -> Tensor {
    Tensor::from_slice(values, shape, device).unwrap()
}

/// Smooth, about normal, away from 0 where `positive`.
fn values(n: usize, seed: u32, positive: bool) -> Vec<f32> {
    let draws = cytograd::rng::Stream::new(u64::from(seed), 77);
    (0..n as u32).map(|i| if positive { 0.5 + 2.0 * draws.uniform(i) } else { draws.normal(i) * 0.7 }).collect()
}

fn check(name: &str, f: F, shapes: &[&[usize]], positive: bool, order: usize) {
    let device = Device::cpu(1);
    let inputs: Vec<Tensor> = shapes
        .iter()
        .enumerate()
        .map(|(i, s)| input(&values(s.iter().product(), 3 + i as u32, positive), s, &device))
        .collect();
    let error = check_grads(&f, &inputs, order, 1e-2).unwrap_or_else(|e| panic!("{name}: {e}"));
    assert!(error < 2e-2, "{name}: gradients disagree by {error}");
}

#[test]
fn elementwise_gradients_match_differences() {
    let smooth: [(&str, F); 16] = [
        ("neg", |x| x[0].neg()),
        ("exp", |x| x[0].exp()),
        ("expm1", |x| x[0].expm1()),
        ("sin", |x| x[0].sin()),
        ("cos", |x| x[0].cos()),
        ("tanh", |x| x[0].tanh()),
        ("sigmoid", |x| x[0].sigmoid()),
        ("log_sigmoid", |x| x[0].log_sigmoid()),
        ("softplus", |x| x[0].softplus()),
        ("erf", |x| x[0].erf()),
        ("square", |x| x[0].square()),
        ("silu", |x| x[0].silu()),
        ("mish", |x| x[0].mish()),
        ("gelu", |x| x[0].gelu()),
        ("gelu_tanh", |x| x[0].gelu_tanh()),
        ("cumsum", |x| x[0].square()?.cumsum(0)),
    ];
    for (name, f) in smooth {
        check(name, f, &[&[3, 4]], false, 2);
    }
    let positive: [(&str, F); 7] = [
        ("ln", |x| x[0].ln()),
        ("log1p", |x| x[0].log1p()),
        ("sqrt", |x| x[0].sqrt()),
        ("rsqrt", |x| x[0].rsqrt()),
        ("recip", |x| x[0].recip()),
        ("pow_scalar", |x| x[0].pow_scalar(2.5)),
        ("pow", |x| x[0].pow(&x[1])),
    ];
    for (name, f) in positive {
        check(name, f, &[&[3, 4], &[4]], true, 2);
    }
    check("lgamma", |x| x[0].lgamma(), &[&[3, 4]], true, 2);
    check("digamma", |x| x[0].digamma(), &[&[3, 4]], true, 1);
}

#[test]
fn broadcast_and_shape_gradients_match_differences() {
    let cases: [(&str, F, &[&[usize]]); 12] = [
        ("mul", |x| x[0].mul(&x[1]), &[&[3, 4], &[4]]),
        ("div", |x| x[0].div(&x[1].square()?.add_scalar(1.0)?), &[&[3, 1], &[1, 4]]),
        ("sub scalar", |x| x[0].sub(&x[1])?.square(), &[&[3, 4], &[]]),
        ("matmul", |x| x[0].matmul(&x[1]), &[&[3, 4], &[4, 5]]),
        ("batched matmul", |x| x[0].matmul(&x[1]), &[&[2, 1, 3, 4], &[5, 4, 2]]),
        ("transposed", |x| x[0].t()?.matmul(&x[0]), &[&[3, 4]]),
        ("slice", |x| x[0].slice(0, 1, 2, 2)?.square(), &[&[5, 3]]),
        ("concat", |x| Tensor::concat(&[&x[0], &x[1]], 1)?.square(), &[&[2, 3], &[2, 2]]),
        ("flip", |x| x[0].flip(1)?.mul(&x[0]), &[&[2, 3]]),
        ("prod", |x| x[0].prod(1), &[&[3, 5]]),
        ("var", |x| x[0].var(&[0], 1, false), &[&[6, 3]]),
        ("norm", |x| x[0].norm(&[1], false), &[&[4, 5]]),
    ];
    for (name, f, shapes) in cases {
        check(name, f, shapes, false, 2);
    }
}

#[test]
fn row_gradients_match_differences() {
    let cases: [(&str, F, &[&[usize]]); 6] = [
        ("softmax", |x| x[0].softmax(), &[&[3, 5]]),
        ("log_softmax", |x| x[0].log_softmax(), &[&[3, 5]]),
        ("logsumexp", |x| x[0].logsumexp(), &[&[3, 5]]),
        ("cross entropy", |x| x[0].cross_entropy_rows(&x[1].softmax()?), &[&[3, 5], &[3, 5]]),
        ("batch norm", |x| x[0].batch_norm(&x[1], &x[2], 1e-3), &[&[8, 3], &[3], &[3]]),
        ("layer norm", |x| x[0].layer_norm(&x[1], &x[2], 1e-3), &[&[3, 8], &[8], &[8]]),
    ];
    for (name, f, shapes) in cases {
        check(name, f, shapes, false, 2);
    }
}

#[test]
fn fused_linear_layers_match_differences() {
    use cytograd::tensor::op::Activation;
    let cases: [(&str, F); 4] = [
        ("tanh", |x| x[0].linear(&x[1], &x[2], Activation::Tanh)),
        ("sigmoid", |x| x[0].linear(&x[1], &x[2], Activation::Sigmoid)),
        ("softplus", |x| x[0].linear(&x[1], &x[2], Activation::Softplus)),
        ("elu", |x| x[0].linear(&x[1], &x[2].add_scalar(3.0)?, Activation::Elu(1.0))?.square()),
    ];
    for (name, f) in cases {
        check(name, f, &[&[3, 4], &[5, 4], &[5]], false, 2);
    }
    check(
        "residual",
        |x| x[0].linear_residual(&x[1], &x[2], &x[0], Activation::Tanh),
        &[&[3, 4], &[4, 4], &[4]],
        false,
        2,
    );
}

#[test]
fn gradients_of_data_do_not_touch_parameters() {
    let device = Device::cpu(1);
    let w = input(&values(12, 1, false), &[3, 4], &device).variable();
    let x = input(&values(8, 2, false), &[2, 4], &device).variable();
    let y = x.matmul(&w.t().unwrap()).unwrap().square().unwrap().sum_all().unwrap();
    let before = device.memory().launches;
    cytograd::tensor::grad(&[&y], &[&x], false).unwrap();
    let input_only = device.memory().launches - before;
    cytograd::tensor::grad(&[&y], &[&x, &w], false).unwrap();
    let both = device.memory().launches - before - input_only;
    assert!(input_only < both, "{input_only} launches for x alone, {both} for x and w");
}

#[test]
fn long_chains_are_dropped_without_recursion() {
    let device = Device::cpu(1);
    let mut x = Tensor::scalar(1.0, &device).unwrap().variable();
    for _ in 0..200_000 {
        x = x.add_scalar(1e-6).unwrap();
    }
    drop(x);
}

#[test]
fn fused_kernels_refuse_a_second_derivative_by_name() {
    use cytograd::tensor::op::{MmdKernel, Similarity};
    let device = Device::cpu(1);
    let x = input(&values(8, 1, false), &[4, 2], &device).variable();
    let kernel = MmdKernel::new(Similarity::Gaussian, &[0.5], &device).unwrap();
    let ones = Tensor::ones(&[4, 1], &device).unwrap();
    let k = x.kernel_product(&kernel, &x, &ones).unwrap().sum_all().unwrap();
    let g = cytograd::tensor::grad(&[&k], &[&x], true).unwrap().remove(0);
    let again = g.square().unwrap().sum_all().unwrap();
    let error = cytograd::tensor::grad(&[&again], &[&x], false).expect_err("not differentiable twice");
    assert!(error.to_string().contains("mmd_grad"), "{error}");
}
