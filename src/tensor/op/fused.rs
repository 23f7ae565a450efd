//! Forward and fused gradients of likelihoods and kernel sums.

use super::Op;
use super::view::dense;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::kernel::mmd::{APPLY, APPLY_GRAD, EXCLUDE_SELF, Kind, MAX_COLUMNS, MAX_GAMMAS, MmdParams};
use crate::kernel::zinb::{BLOCK, NO_INFLATION, ONE_SEGMENT, R_BLOCKS, VALUE, VALUE_GRAD, ZinbParams};
use crate::tensor::grad::recording;
use crate::tensor::{Dtype, Tensor, no_grad};

/// Which negative binomial. Inputs of the op, in order: counts x `[rows, genes]`, m = ln mu
/// `[rows, genes]`, r = ln theta `[genes]` (or `[segments, genes]`), then the zero logit h
/// `[rows, genes]` if `inflated`, then the segment of each row (u32 `[rows]`) if `segmented`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Zinb {
    /// Zero-inflated.
    pub inflated: bool,
    /// Dispersion per segment (batch) of rows.
    pub segmented: bool,
}

/// A kernel function of two points, its scales, and whether a point is compared with itself.
#[derive(Clone, Debug)]
pub struct MmdKernel {
    /// The function.
    pub similarity: Similarity,
    /// Scales `[k]`, k up to 8 (read by the kinds that have some); gradients flow to it.
    pub gamma: Tensor,
    /// Leaves out pairs (i, i): for unbiased sums of one set with itself.
    pub skip_diagonal: bool,
}

/// Kernel functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Similarity {
    /// `a . b`
    Linear,
    /// `(a . b / d + 1)³`
    Cubic,
    /// `sum_g exp(-g |a - b|²)`
    Gaussian,
    /// `sum_g exp(-g |a - b|_1)`
    Laplacian,
    /// `|a - b|²`
    Distance,
    /// `sum_g -g |a - b|² exp(-g |a - b|²)`: derivative of `Gaussian` with respect to the logarithm
    /// of a common factor of all g.
    GaussianScale,
}

impl Similarity {
    /// All of them.
    pub const ALL: [Similarity; 6] = [
        Similarity::Linear,
        Similarity::Cubic,
        Similarity::Gaussian,
        Similarity::Laplacian,
        Similarity::Distance,
        Similarity::GaussianScale,
    ];
}

impl MmdKernel {
    /// A function with the given scales (none needed by `Linear`, `Cubic`, `Distance`).
    pub fn new(similarity: Similarity, gammas: &[f32], device: &Device) -> Result<Self> {
        let gammas = if gammas.is_empty() { &[0.0] } else { gammas };
        Ok(MmdKernel { similarity, gamma: Tensor::from_slice(gammas, &[gammas.len()], device)?, skip_diagonal: false })
    }

    /// The same function, pairs (i, i) left out.
    pub fn without_diagonal(&self) -> Self {
        MmdKernel { skip_diagonal: true, ..self.clone() }
    }
}

fn zinb_params(zinb: &Zinb, inputs: &[Tensor]) -> Result<(ZinbParams, Vec<Tensor>)> {
    let wanted = 3 + usize::from(zinb.inflated) + usize::from(zinb.segmented);
    let op = "zinb";
    if inputs.len() != wanted {
        return Err(Error::Argument { op, what: format!("takes {wanted} inputs, was given {}", inputs.len()) });
    }
    let (x, m) = (dense(op, &inputs[0])?, dense(op, &inputs[1])?);
    if x.rank() != 2 {
        return Err(Error::Shape { op, expected: "counts [rows, genes]".into(), found: format!("{:?}", x.shape()) });
    }
    let (rows, genes) = (x.size(0), x.size(1));
    m.expect_shape(op, &[rows, genes])?;
    let r = dense(op, &inputs[2])?;
    let segments = if zinb.segmented && r.rank() == 2 { r.size(0) } else { 1 };
    let full = [segments, genes];
    r.expect_shape(op, if zinb.segmented { &full } else { &full[1..] })?;
    let h = match zinb.inflated {
        true => {
            let h = dense(op, &inputs[3])?;
            h.expect_shape(op, &[rows, genes])?;
            h
        }
        false => x.clone(),
    };
    let segment = match zinb.segmented {
        true => {
            let s = inputs[wanted - 1].contiguous()?;
            s.expect(op, Dtype::U32)?;
            s.expect_shape(op, &[rows])?;
            s
        }
        false => x.clone(),
    };
    let flag = |on: bool, bit: u32| if on { bit } else { 0 };
    let params = ZinbParams {
        rows: rows as u32,
        genes: genes as u32,
        segments: segments as u32,
        repeat: 1,
        flags: flag(!zinb.inflated, NO_INFLATION) | flag(!zinb.segmented, ONE_SEGMENT),
        x_at: x.offset() as u32,
        m_at: m.offset() as u32,
        r_at: r.offset() as u32,
        segment_at: segment.offset() as u32,
        h_at: h.offset() as u32,
        weight_at: 0,
    };
    Ok((params, vec![x, m, r, segment, h]))
}

pub fn zinb(zinb: &Zinb, inputs: &[&Tensor]) -> Result<Tensor> {
    let inputs: Vec<Tensor> = inputs.iter().map(|t| t.detach()).collect();
    let (params, buffers) = zinb_params(zinb, &inputs)?;
    let out = Tensor::uninit("zinb", &[params.rows as usize], Dtype::F32, inputs[0].device())?;
    let mut launch: Vec<_> = buffers.iter().map(Tensor::storage).collect();
    launch.push(out.storage());
    inputs[0].device().launch(&VALUE, &params, &launch, [params.rows, 1, 1])?;
    Ok(out)
}

/// Gradients of [`zinb`] weighted by `g` `[rows]`, in one pass; recorded as `ZinbGrad` rows.
pub fn zinb_grad(zinb: &Zinb, inputs: &[Tensor], g: &Tensor, need: &[bool]) -> Result<Vec<Option<Tensor>>> {
    if need[0] {
        return Err(Error::NotDifferentiable { op: "zinb with respect to its counts", order: 1 });
    }
    let (mut params, mut buffers) = zinb_params(zinb, inputs)?;
    let weight = dense("zinb", g)?;
    params.weight_at = weight.offset() as u32;
    params.flags |= R_BLOCKS;
    let (rows, genes, segments) = (params.rows as usize, params.genes as usize, params.segments as usize);
    let device = g.device();
    let fresh = |shape: &[usize]| Tensor::uninit("zinb", shape, Dtype::F32, device);
    let outs = [
        fresh(&[rows])?,
        fresh(&[rows, genes])?,
        fresh(&[rows.div_ceil(BLOCK), segments, genes])?,
        fresh(&[if zinb.inflated { rows } else { 0 }, genes])?,
    ];
    buffers.push(weight);
    let launch: Vec<_> = buffers.iter().chain(&outs).map(Tensor::storage).collect();
    device.launch(&VALUE_GRAD, &params, &launch, [params.rows, 1, 1])?;
    let [_, dm, dr, dh] = outs;
    let dr = dr.sum(&[0], false)?.reshape(inputs[2].shape())?;
    let record = |t: Tensor, of: usize| {
        if !need[of] {
            return None;
        }
        let mut tape = inputs.to_vec();
        tape.push(g.clone());
        Some(if recording() { t.with_node(Op::ZinbGrad { zinb: *zinb, of }, tape) } else { t })
    };
    let mut grads = vec![None, record(dm, 1), record(dr, 2)];
    if zinb.inflated {
        grads.push(record(dh, 3));
    }
    grads.resize(inputs.len(), None);
    Ok(grads)
}

/// Inputs x, y, gamma, then u or v and v as a launch takes them.
fn mmd_params(similarity: Similarity, skip_diagonal: bool, inputs: &[&Tensor]) -> Result<(MmdParams, Vec<Tensor>)> {
    let op = "mmd";
    let dense: Vec<Tensor> = inputs.iter().map(|t| dense(op, t)).collect::<Result<_>>()?;
    let (x, y, gamma, v) = (&dense[0], &dense[1], &dense[2], &dense[dense.len() - 1]);
    let fits = x.rank() == 2
        && y.rank() == 2
        && x.size(1) == y.size(1)
        && v.rank() == 2
        && v.size(0) == y.size(0)
        && (1..=MAX_COLUMNS).contains(&v.size(1))
        && (dense.len() == 4 || dense[3].shape() == [x.size(0), v.size(1)]);
    if !fits {
        return Err(Error::Shape {
            op,
            expected: format!("x [m, d], y [n, d], v [n, p] with p from 1 to {MAX_COLUMNS}"),
            found: format!("{:?}, {:?}, {:?}", x.shape(), y.shape(), v.shape()),
        });
    }
    if gamma.rank() != 1 || !(1..=MAX_GAMMAS).contains(&gamma.numel()) {
        return Err(Error::Shape {
            op,
            expected: format!("1 to {MAX_GAMMAS} gammas"),
            found: format!("{:?}", gamma.shape()),
        });
    }
    let kind = match similarity {
        Similarity::Linear => Kind::Linear,
        Similarity::Cubic => Kind::Cubic,
        Similarity::Gaussian => Kind::Gaussian,
        Similarity::Laplacian => Kind::Laplacian,
        Similarity::Distance => Kind::Distance,
        Similarity::GaussianScale => Kind::GaussianScale,
    };
    let params = MmdParams {
        kind: kind as u32,
        m: x.size(0) as u32,
        n: y.size(0) as u32,
        d: x.size(1) as u32,
        p: v.size(1) as u32,
        gammas: gamma.numel() as u32,
        flags: if skip_diagonal { EXCLUDE_SELF } else { 0 },
        first: 0,
        x_at: x.offset() as u32,
        y_at: y.offset() as u32,
        gamma_at: gamma.offset() as u32,
        u_at: dense[3].offset() as u32,
        v_at: v.offset() as u32,
        scale: 1.0 / x.size(1).max(1) as f32,
        shift: 1.0,
    };
    Ok((params, dense))
}

/// `K(x, y) v`; inputs x, y, gamma, v.
pub fn mmd(similarity: Similarity, skip_diagonal: bool, inputs: &[&Tensor]) -> Result<Tensor> {
    let (params, dense) = mmd_params(similarity, skip_diagonal, inputs)?;
    let out = Tensor::uninit("mmd", &[params.m as usize, params.p as usize], Dtype::F32, inputs[0].device())?;
    let buffers = [&dense[0], &dense[1], &dense[2], &dense[3], &out].map(Tensor::storage);
    out.device().launch(&APPLY, &params, &buffers, [params.m, 1, 1])?;
    Ok(out)
}

/// `K(x, y) v` and the gradient of `<u, K(x, y) v>` with respect to x, in one pass over the pairs.
fn product_and_grad(similarity: Similarity, skip_diagonal: bool, inputs: &[&Tensor]) -> Result<(Tensor, Tensor)> {
    let (params, dense) = mmd_params(similarity, skip_diagonal, inputs)?;
    let device = inputs[0].device();
    let product = Tensor::uninit("mmd", &[params.m as usize, params.p as usize], Dtype::F32, device)?;
    let grad = Tensor::uninit("mmd", dense[0].shape(), Dtype::F32, device)?;
    let buffers = [&dense[0], &dense[1], &dense[2], &dense[3], &dense[4], &product, &grad].map(Tensor::storage);
    device.launch(&APPLY_GRAD, &params, &buffers, [params.m, 1, 1])?;
    Ok((product, grad))
}

/// Gradient of `<u, K(x, y) v>` with respect to x; inputs x, y, gamma, u, v.
pub fn mmd_grad(similarity: Similarity, skip_diagonal: bool, inputs: &[&Tensor]) -> Result<Tensor> {
    Ok(product_and_grad(similarity, skip_diagonal, inputs)?.1)
}

/// Sum of `K(x, y)` over all pairs. Where a gradient will be asked for, the same pass over the pairs
/// gives it; a set compared with itself needs one pass for both roles.
pub fn mmd_sum(kernel: &MmdKernel, x: &Tensor, y: &Tensor) -> Result<Tensor> {
    let MmdKernel { similarity, skip_diagonal, gamma } = kernel;
    let (similarity, skip_diagonal) = (*similarity, *skip_diagonal);
    let device = x.device();
    let ones = |t: &Tensor| Tensor::ones(&[t.shape().first().copied().unwrap_or(1), 1], device);
    let (u, v) = (ones(x)?, ones(y)?);
    if !recording() || !(x.tracked() || y.tracked() || gamma.tracked()) {
        return no_grad(|| mmd(similarity, skip_diagonal, &[x, y, gamma, &v])?.sum_all());
    }
    let (product, gx) = product_and_grad(similarity, skip_diagonal, &[x, y, gamma, &u, &v])?;
    let gy = match x.is(y) || !y.tracked() {
        true => Tensor::zeros(&[0], device)?,
        false => mmd_grad(similarity, skip_diagonal, &[y, x, gamma, &v, &u])?,
    };
    let sum = no_grad(|| product.sum_all())?;
    let inputs = vec![x.clone(), y.clone(), gamma.clone(), gx, gy];
    Ok(sum.with_node(Op::MmdSum { similarity, skip_diagonal }, inputs))
}
