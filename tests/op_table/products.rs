//! Products, kernel sums and likelihoods.

use crate::case::Case;
use cytograd::Result;
use cytograd::device::Device;
use cytograd::kernel::gemm;
use cytograd::rng::Stream;
use cytograd::tensor::op::{Activation, MmdKernel, Similarity, Sparse, Zinb};
use cytograd::tensor::{Tensor, grad_with};
use std::sync::Arc;

fn activation(kind: gemm::Activation) -> Activation {
    match kind {
        gemm::Activation::None => Activation::None,
        gemm::Activation::Relu => Activation::Relu,
        gemm::Activation::LeakyRelu => Activation::LeakyRelu(0.2),
        gemm::Activation::Elu => Activation::Elu(0.7),
        gemm::Activation::Tanh => Activation::Tanh,
        gemm::Activation::Sigmoid => Activation::Sigmoid,
        gemm::Activation::Softplus => Activation::Softplus,
    }
}

/// About a quarter full, its first row empty; columns on both sides of a chunk's border if there
/// are so many.
fn sparse(rows: usize, cols: usize, device: &Device) -> Result<Arc<Sparse>> {
    let draws = Stream::new(5, 1);
    let (mut indptr, mut indices, mut values) = (vec![0], vec![], vec![]);
    for i in 0..rows {
        for j in 0..cols {
            let u = draws.uniform((i * cols + j) as u32);
            if i > 0 && u < 0.25 {
                indices.push(j as u32);
                values.push(8.0 * u - 0.9);
            }
        }
        indptr.push(indices.len() as u32);
    }
    Sparse::new(rows, cols, &indptr, &indices, &values, device)
}

fn layers(kind: gemm::Activation) -> [Case; 3] {
    use gemm::Activation as K;
    let act = activation(kind);
    // Small products around 0, or around ±3 for activations with a kink at 0.
    let soft = |x: &Tensor| x.mul_scalar(0.2);
    let smooth = matches!(kind, K::None | K::Tanh | K::Sigmoid | K::Softplus);
    let away = move |b: &Tensor| match smooth {
        true => Ok(b.clone()),
        false => {
            let shift: Vec<f32> = [3.0, -3.0].into_iter().cycle().take(b.numel()).collect();
            b.add(&Tensor::from_slice(&shift, b.shape(), b.device())?)
        }
    };
    [
        Case::new(
            format!("Linear {kind:?}"),
            &[&[&[3, 4], &[5, 4], &[5]], &[&[0, 4], &[5, 4], &[5]], &[&[2, 1, 3], &[1, 3], &[1]]],
            move |x| soft(&x[0])?.linear(&x[1], &away(&x[2])?, act),
        ),
        Case::new(format!("LinearResidual {kind:?}"), &[&[&[3, 4], &[5, 4], &[5], &[3, 5]]], move |x| {
            soft(&x[0])?.linear_residual(&x[1], &away(&x[2])?, &soft(&x[3])?, act)
        }),
        Case::new(format!("SparseLinear {kind:?}"), &[&[&[6, 3], &[3]], &[&[2, 1], &[1]]], move |x| {
            let s = sparse(4, x[0].size(0), x[0].device())?;
            Tensor::sparse_linear(&s, &soft(&x[0])?, &away(&x[1])?, act)
        }),
    ]
}

fn kernel_sums(similarity: Similarity, skip_diagonal: bool) -> Vec<Case> {
    let name = format!("{similarity:?}{}", if skip_diagonal { " skip" } else { "" });
    let kernel = move |like: &Tensor| {
        MmdKernel::new(similarity, &[0.3, 1.1], like.device())
            .map(|k| if skip_diagonal { k.without_diagonal() } else { k })
    };
    let points: &[&[&[usize]]] =
        &[&[&[4, 3], &[4, 3], &[4, 2]], &[&[1, 1], &[1, 1], &[1, 1]], &[&[0, 2], &[3, 2], &[3, 1]]];
    // Absolute differences have kinks where coordinates are equal.
    let apart = move |x: &Tensor| x.mul_scalar(if similarity == Similarity::Laplacian { 1.0 } else { 0.5 });
    let mut cases = vec![
        Case::new(format!("Mmd {name}"), points, move |x| apart(&x[0])?.kernel_product(&kernel(&x[0])?, &x[1], &x[2])),
        Case::new(format!("MmdSum {name}"), &[&[&[4, 3], &[4, 3]], &[&[0, 2], &[3, 2]]], move |x| {
            apart(&x[0])?.kernel_sum(&kernel(&x[0])?, &x[1])
        }),
        // A set with itself.
        Case::new(format!("MmdSum {name}"), &[&[&[4, 3]], &[&[1, 1]]], move |x| {
            x[0].kernel_sum(&kernel(&x[0])?, &x[0])
        }),
        Case::new(format!("MmdGrad {name}"), points, move |x| {
            let at = apart(&x[0])?.variable();
            let y = at.kernel_product(&kernel(&x[0])?, &x[1], &x[2])?;
            let ct = Tensor::full(0.75, y.shape(), y.device())?;
            Ok(grad_with(&[&y], &[&ct], &[&at], true)?.remove(0))
        }),
    ];
    if similarity == Similarity::Gaussian {
        cases.push(Case::new(format!("Mmd {name}"), &[&[&[4, 3], &[2]]], move |x| {
            let kernel = MmdKernel { similarity, gamma: x[1].square()?, skip_diagonal };
            apart(&x[0])?.kernel_product(&kernel, &x[0], &Tensor::ones(&[4, 1], x[0].device())?)
        }));
    }
    cases
}

/// Counts 0 to 6, about half of them 0.
fn counts(rows: usize, genes: usize, device: &Device) -> Result<Tensor> {
    let values: Vec<f32> = (0..rows * genes).map(|i| ((i * 5 + i / 3) % 13).saturating_sub(6) as f32).collect();
    Tensor::from_slice(&values, &[rows, genes], device)
}

/// Per row; with weights, as many as rows: the weighted sum.
fn likelihood(zinb: Zinb, x: &[Tensor], weight: Option<&Tensor>) -> Result<Tensor> {
    let (rows, genes) = (x[0].size(0), x[0].size(1));
    let device = x[0].device();
    let segment = Tensor::from_u32(&(0..rows as u32).map(|i| i % 2).collect::<Vec<_>>(), &[rows], device)?;
    let mut params: Vec<&Tensor> = x.iter().take(if zinb.inflated { 3 } else { 2 }).collect();
    if zinb.segmented {
        params.push(&segment);
    }
    match weight {
        Some(weight) => counts(rows, genes, device)?.zinb_sum(zinb, &params, weight),
        None => counts(rows, genes, device)?.zinb(zinb, &params),
    }
}

fn likelihoods(inflated: bool, segmented: bool) -> Vec<Case> {
    let zinb = Zinb { inflated, segmented };
    let flag = |on: bool, text: &'static str| if on { text } else { "" };
    let r: &[usize] = if segmented { &[2, 7] } else { &[7] };
    let all: [&[usize]; 3] = [&[5, 7], r, &[5, 7]];
    let shapes = &all[..if inflated { 3 } else { 2 }];
    let mut cases = vec![Case::new(
        format!("Zinb {}{}", flag(inflated, " inflated"), flag(segmented, " segmented")),
        &[shapes],
        move |x| likelihood(zinb, x, None),
    )];
    let weighted: Vec<&[usize]> = shapes.iter().copied().chain([&[5][..]]).collect();
    cases.push(Case::new(
        format!("ZinbSum {}{}", flag(inflated, " inflated"), flag(segmented, " segmented")),
        &[&weighted],
        move |x| likelihood(zinb, x, x.last()),
    ));
    if inflated && segmented {
        for of in 1..=3 {
            cases.push(Case::new(format!("ZinbGrad of {of}"), &[shapes], move |x| {
                let x: Vec<Tensor> = x.iter().map(|t| if t.tracked() { t.clone() } else { t.variable() }).collect();
                let y = likelihood(zinb, &x, None)?;
                let ct = Tensor::full(0.75, y.shape(), y.device())?;
                Ok(grad_with(&[&y], &[&ct], &[&x[of - 1]], true)?.remove(0))
            }));
        }
    }
    cases
}

pub fn cases() -> Vec<Case> {
    let mut cases = vec![
        Case::new("Matmul", &[&[&[3, 4], &[4, 5]], &[&[1, 0], &[0, 2]], &[&[2, 300], &[300, 3]]], |x| {
            x[0].mul_scalar(0.1)?.matmul(&x[1])
        }),
        Case::new("Matmul", &[&[&[2, 1, 3, 4], &[5, 4, 2]]], |x| x[0].matmul(&x[1])),
        Case::new("SparseMatmul", &[&[&[6, 3]], &[&[300, 2]]], |x| {
            Tensor::sparse_matmul(&sparse(4, x[0].size(0), x[0].device())?, &x[0])
        }),
    ];
    cases.extend(gemm::Activation::ALL.into_iter().flat_map(layers));
    cases.extend(Similarity::ALL.into_iter().flat_map(|s| [false, true].map(|skip| kernel_sums(s, skip))).flatten());
    for (inflated, segmented) in [(false, false), (false, true), (true, false), (true, true)] {
        cases.extend(likelihoods(inflated, segmented));
    }
    cases
}
