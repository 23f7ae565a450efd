//! Gradients of composed functions against finite differences to second order, and what the tape
//! promises. Single rows of the op table: `tests/op_table`.

use cytograd::Result;
use cytograd::device::Device;
use cytograd::tensor::op::{Activation, MmdKernel, Similarity};
use cytograd::tensor::{Tensor, check_grads};

type F = fn(&[Tensor]) -> Result<Tensor>;

fn input(values: &[f32], shape: &[usize], device: &Device) -> Tensor {
    Tensor::from_slice(values, shape, device).unwrap()
}

/// About normal.
fn values(n: usize, seed: u32) -> Vec<f32> {
    let draws = cytograd::rng::Stream::new(u64::from(seed), 77);
    (0..n as u32).map(|i| draws.normal(i) * 0.7).collect()
}

fn check(name: &str, f: F, shapes: &[&[usize]]) {
    let device = Device::cpu(1);
    let inputs: Vec<Tensor> =
        shapes.iter().enumerate().map(|(i, s)| input(&values(s.iter().product(), 3 + i as u32), s, &device)).collect();
    let error = check_grads(&f, &inputs, 2, 1e-2).unwrap_or_else(|e| panic!("{name}: {e}"));
    assert!(error < 2e-2, "{name}: gradients disagree by {error}");
}

#[test]
fn composed_functions_match_differences() {
    let cases: [(&str, F, &[&[usize]]); 9] = [
        ("silu", |x| x[0].silu(), &[&[3, 4]]),
        ("mish", |x| x[0].mish(), &[&[3, 4]]),
        ("gelu", |x| x[0].gelu(), &[&[3, 4]]),
        ("gelu_tanh", |x| x[0].gelu_tanh(), &[&[3, 4]]),
        ("transposed", |x| x[0].t()?.matmul(&x[0]), &[&[3, 4]]),
        ("flip", |x| x[0].flip(1)?.mul(&x[0]), &[&[2, 3]]),
        ("prod", |x| x[0].prod(1), &[&[3, 5]]),
        ("var", |x| x[0].var(&[0], 1, false), &[&[6, 3]]),
        ("norm", |x| x[0].norm(&[1], false), &[&[4, 5]]),
    ];
    for (name, f, shapes) in cases {
        check(name, f, shapes);
    }
    // The same tensor on two ways into one op.
    let residual: F = |x| x[0].linear_residual(&x[1], &x[2], &x[0], Activation::Tanh);
    check("residual", residual, &[&[3, 4], &[4, 4], &[4]]);
    let soft_targets: F = |x| x[0].cross_entropy_rows(&x[1].softmax()?);
    check("cross entropy of soft targets", soft_targets, &[&[3, 5], &[3, 5]]);
}

#[test]
fn gradients_of_data_do_not_touch_parameters() {
    let device = Device::cpu(1);
    let w = input(&values(12, 1), &[3, 4], &device).variable();
    let x = input(&values(8, 2), &[2, 4], &device).variable();
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
    let device = Device::cpu(1);
    let x = input(&values(8, 1), &[4, 2], &device).variable();
    let kernel = MmdKernel::new(Similarity::Gaussian, &[0.5], &device).unwrap();
    let ones = Tensor::ones(&[4, 1], &device).unwrap();
    let k = x.kernel_product(&kernel, &x, &ones).unwrap().sum_all().unwrap();
    let g = cytograd::tensor::grad(&[&k], &[&x], true).unwrap().remove(0);
    let again = g.square().unwrap().sum_all().unwrap();
    let error = cytograd::tensor::grad(&[&again], &[&x], false).expect_err("not differentiable twice");
    assert!(error.to_string().contains("mmd_grad"), "{error}");
}
