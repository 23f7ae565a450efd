//! Rows that move elements, and reductions.

use crate::case::Case;
use cytograd::Result;
use cytograd::tensor::op::Reduce;
use cytograd::tensor::{Tensor, grad_with};

/// Indices on the device of `like`.
fn index(values: &[u32], shape: &[usize], like: &Tensor) -> Result<Tensor> {
    Tensor::from_u32(values, shape, like.device())
}

fn reductions(f: Reduce) -> Vec<Case> {
    let along = move |x: &Tensor, axes: &[usize]| match f {
        Reduce::Sum => x.sum(axes, false),
        Reduce::Max => x.amax(axes, false),
        Reduce::Min => x.amin(axes, false),
    };
    let last: &[&[&[usize]]] = &[&[&[0]], &[&[3, 0]], &[&[1]], &[&[2, 17]], &[&[3, 257]]];
    let first: &[&[&[usize]]] = &[&[&[0, 3]], &[&[1, 1]], &[&[5, 3]], &[&[65, 2, 2]]];
    let all: &[&[&[usize]]] = &[&[&[]], &[&[0, 3]], &[&[1, 1]], &[&[3, 5]], &[&[2, 65, 3]]];
    let squared = |x: &Tensor| x.mul(&x.add_scalar(0.01)?);
    vec![
        Case::new(format!("Reduce {f:?}"), last, move |x| along(&squared(&x[0])?, &[x[0].rank() - 1])),
        Case::new(format!("Reduce {f:?}"), first, move |x| along(&x[0], &[0])),
        Case::new(format!("ReduceAll {f:?}"), all, move |x| along(&x[0], &(0..x[0].rank()).collect::<Vec<_>>())),
    ]
}

pub fn cases() -> Vec<Case> {
    let squares: &[&[&[usize]]] = &[&[&[0, 3]], &[&[3, 2]], &[&[4, 6]], &[&[2, 4, 6]]];
    let mut cases: Vec<Case> = Reduce::ALL.into_iter().flat_map(reductions).collect();
    cases.extend([
        Case::new("CumSum", &[&[&[0]], &[&[1]], &[&[65, 3]]], |x| x[0].square()?.cumsum(0)),
        Case::new("CumSum", &[&[&[2, 17]]], |x| x[0].square()?.cumsum(1)),
        Case::new("Contiguous", squares, |x| x[0].square()?.t()?.contiguous()),
        Case::new("Reshape", squares, |x| x[0].square()?.reshape(&[x[0].numel(), 1])),
        Case::new("Permute", squares, |x| x[0].square()?.permute(&(0..x[0].rank()).rev().collect::<Vec<_>>())),
        Case::new("Expand", &[&[&[]], &[&[1]], &[&[4, 1]]], |x| x[0].square()?.expand(&[2, 4, 3])),
        Case::new("Slice", &[&[&[5, 3]], &[&[5]], &[&[7, 0]]], |x| x[0].square()?.slice(0, 1, 2, 2)),
        // The adjoint of a slice, as a function of its gradient.
        Case::new("Place", &[&[&[2, 3]], &[&[2]], &[&[2, 0]]], |x| {
            let mut shape = x[0].shape().to_vec();
            shape[0] = 5;
            let whole = Tensor::zeros(&shape, x[0].device())?.variable();
            Ok(grad_with(&[&whole.slice(0, 1, 2, 2)?], &[&x[0].square()?], &[&whole], true)?.remove(0))
        }),
        Case::new("Flip", squares, |x| x[0].square()?.flip(1)),
        Case::new("Concat", &[&[&[2, 3], &[2, 1], &[2, 0]], &[&[0, 2], &[0, 3], &[0, 1]]], |x| {
            Tensor::concat(&[&x[0].square()?, &x[1], &x[2], &x[0]], 1)
        }),
        Case::new("GatherRows", &[&[&[3, 2]], &[&[3]], &[&[3, 0]]], |x| {
            x[0].square()?.index_select(&index(&[2, 0, 2, 1, 2], &[5], &x[0])?)
        }),
        Case::new("AddRows", &[&[&[4, 2]], &[&[4]], &[&[4, 0]]], |x| {
            x[0].square()?.add_rows(&index(&[2, 0, 2, 2], &[4], &x[0])?, 3)
        }),
        Case::new("Gather", &[&[&[2, 4]]], |x| x[0].square()?.gather(1, &index(&[3, 3, 0, 1, 1, 1], &[2, 3], &x[0])?)),
        Case::new("AddAlong", &[&[&[2, 3]]], |x| {
            x[0].square()?.add_along(1, &index(&[3, 3, 0, 1, 1, 1], &[2, 3], &x[0])?, 4)
        }),
    ]);
    let rows: &[&[&[usize]]] = &[&[&[0, 3]], &[&[1, 1]], &[&[3, 5]], &[&[2, 2, 9]]];
    let wide: &[&[&[usize]]] = &[&[&[3, 5]], &[&[2, 33]]];
    for shapes in [rows, wide] {
        cases.extend([
            Case::new("Softmax", shapes, |x| x[0].softmax()),
            Case::new("LogSoftmax", shapes, |x| x[0].log_softmax()),
            Case::new("LogSumExp", shapes, |x| x[0].logsumexp()),
        ]);
    }
    cases.extend([
        Case::new("CrossEntropy", &[&[&[0, 3], &[0, 3]], &[&[1, 1], &[1, 1]], &[&[3, 5], &[3, 5]]], |x| {
            x[0].cross_entropy_rows(&x[1])
        }),
        Case::new("BatchNorm", &[&[&[8, 3], &[3], &[3]], &[&[67, 1], &[1], &[1]]], |x| {
            x[0].batch_norm(&x[1], &x[2], 1e-3)
        }),
        Case::new("LayerNorm", &[&[&[3, 8], &[8], &[8]], &[&[2, 2, 5], &[5], &[5]]], |x| {
            x[0].layer_norm(&x[1], &x[2], 1e-3)
        }),
    ]);
    cases
}
