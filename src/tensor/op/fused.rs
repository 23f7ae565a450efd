//! Forward and fused gradients of likelihoods and kernel sums.

use super::view::dense;
use super::{Op, apply};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::kernel::Kernel;
use crate::kernel::mmd::{APPLY, APPLY_BOTH, APPLY_GRAD, EXCLUDE_SELF, Kind, MAX_COLUMNS, MAX_GAMMAS, MmdParams, UNIT};
use crate::kernel::zinb::{BLOCK, NO_INFLATION, NO_VALUE, ONE_SEGMENT, R_BLOCKS, VALUE, VALUE_GRAD, ZinbParams};
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

/// One pass with weights `[rows]`: the values (unless `gradients_only`) and the weighted gradients with
/// respect to m, r and h.
fn zinb_pass(zinb: &Zinb, inputs: &[Tensor], weight: &Tensor, gradients_only: bool) -> Result<(Tensor, [Tensor; 3])> {
    let (mut params, mut buffers) = zinb_params(zinb, inputs)?;
    let (rows, genes, segments) = (params.rows as usize, params.genes as usize, params.segments as usize);
    let weight = dense("zinb", weight)?;
    weight.expect_shape("zinb", &[rows])?;
    params.weight_at = weight.offset() as u32;
    params.flags |= R_BLOCKS | if gradients_only { NO_VALUE } else { 0 };
    let device = weight.device();
    let fresh = |shape: &[usize]| Tensor::uninit("zinb", shape, Dtype::F32, device);
    let outs = [
        fresh(&[rows])?,
        fresh(&[rows, genes])?,
        fresh(&[rows.div_ceil(BLOCK), segments, genes])?,
        fresh(&[if zinb.inflated { rows } else { 0 }, genes])?,
    ];
    buffers.push(weight.clone());
    let launch: Vec<_> = buffers.iter().chain(&outs).map(Tensor::storage).collect();
    device.launch(&VALUE_GRAD, &params, &launch, [params.rows, 1, 1])?;
    let [values, dm, dr, dh] = outs;
    let dr = dr.sum(&[0], false)?.reshape(inputs[2].shape())?;
    Ok((values, [dm, dr, dh]))
}

/// Gradients of [`zinb`] weighted by `g` `[rows]`, in one pass; recorded as `ZinbGrad` rows.
pub fn zinb_grad(zinb: &Zinb, inputs: &[Tensor], g: &Tensor, need: &[bool]) -> Result<Vec<Option<Tensor>>> {
    if need[0] {
        return Err(Error::NotDifferentiable { op: "zinb with respect to its counts", order: 1 });
    }
    let (_, [dm, dr, dh]) = zinb_pass(zinb, inputs, g, true)?;
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

/// `sum_i weight_i ln p_i`, to `[]`. Where gradients will be asked for, the same pass over memory gives
/// them.
pub fn zinb_sum(zinb: &Zinb, inputs: &[&Tensor], weight: &Tensor) -> Result<Tensor> {
    let all = || inputs.iter().copied().chain([weight]);
    if !recording() || !all().any(Tensor::tracked) {
        return no_grad(|| self::zinb(zinb, inputs)?.mul(weight)?.sum_all());
    }
    let plain: Vec<Tensor> = all().map(Tensor::detach).collect();
    let (values, gradients) = no_grad(|| zinb_pass(zinb, &plain[..inputs.len()], &plain[inputs.len()], false))?;
    let sum = no_grad(|| values.mul(weight)?.sum_all())?;
    let tape = all().cloned().chain([values]).chain(gradients).collect();
    Ok(sum.with_node(Op::ZinbSum(*zinb), tape))
}

/// For [`zinb_sum`]; inputs those of `zinb`, the weights, and the values and gradients of the pass, which
/// are off the tape: where the gradient is itself recorded, it is computed anew as an op.
pub fn zinb_sum_grad(zinb: &Zinb, tape: &[Tensor], g: &Tensor, need: &[bool]) -> Result<Vec<Option<Tensor>>> {
    let (inputs, [weight, values, dm, dr, dh]) = tape.split_at(tape.len() - 5) else {
        return Err(Error::Argument { op: "zinb_sum", what: format!("{} inputs are too few", tape.len()) });
    };
    let of_weight = inputs.len();
    if recording() {
        let mut grads = zinb_grad(zinb, inputs, &weight.mul(g)?, need)?;
        grads.push(if need[of_weight] {
            Some(apply(Op::Zinb(*zinb), &inputs.iter().collect::<Vec<_>>())?.mul(g)?)
        } else {
            None
        });
        grads.resize(tape.len(), None);
        return Ok(grads);
    }
    let times_g = |t: &Tensor, wanted: bool| match wanted {
        true => Ok(Some(if g.is_seed() { t.detach() } else { t.mul(g)? })),
        false => Ok(None),
    };
    if need[0] {
        return Err(Error::NotDifferentiable { op: "zinb with respect to its counts", order: 1 });
    }
    let mut grads = vec![None, times_g(dm, need[1])?, times_g(dr, need[2])?];
    if zinb.inflated {
        grads.push(times_g(dh, need[3])?);
    }
    grads.resize(of_weight, None);
    grads.push(times_g(values, need[of_weight])?);
    grads.resize(tape.len(), None);
    Ok(grads)
}

/// A launch over pairs: its params, and the buffers it reads.
struct Pairs {
    params: MmdParams,
    reads: Vec<Tensor>,
}

impl Pairs {
    /// `weights` are v, or u and v; or none, for ones.
    fn new(
        similarity: Similarity,
        skip_diagonal: bool,
        [x, y, gamma]: [&Tensor; 3],
        weights: &[&Tensor],
    ) -> Result<Self> {
        let op = "mmd";
        let itself = x.is(y);
        let (x, gamma) = (dense(op, x)?, dense(op, gamma)?);
        let y = if itself { x.clone() } else { dense(op, y)? };
        let weights: Vec<Tensor> = weights.iter().map(|t| dense(op, t)).collect::<Result<_>>()?;
        let points = x.rank() == 2 && y.rank() == 2 && x.size(1) == y.size(1);
        let columns = weights.last().map_or(1, |v| v.shape().get(1).copied().unwrap_or(0));
        let fits = |t: &Tensor, rows: &Tensor| t.shape() == [rows.size(0), columns];
        let weighted = match &weights[..] {
            [] => true,
            [v] => points && fits(v, &y),
            [u, .., v] => points && fits(u, &x) && fits(v, &y),
        };
        if !(points && weighted && (1..=MAX_COLUMNS).contains(&columns)) {
            let shapes: Vec<_> = [&x, &y].into_iter().chain(&weights).map(|t| format!("{:?}", t.shape())).collect();
            return Err(Error::Shape {
                op,
                expected: format!("x [m, d], y [n, d], v [n, p] with p from 1 to {MAX_COLUMNS}"),
                found: shapes.join(", "),
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
        // Amid the points of both sides, whichever is which.
        let centre = match (kind.is_expanded(x.size(1)), x.size(0) * y.size(0)) {
            (false, _) => gamma.clone(),
            (true, 0) => Tensor::zeros(&[x.size(1)], x.device())?,
            (true, _) => no_grad(|| {
                let mean = x.mean(&[0], false)?;
                if itself { Ok(mean) } else { mean.add(&y.mean(&[0], false)?)?.mul_scalar(0.5) }
            })?,
        };
        let offset = |k: usize| weights.get(k).map_or(0, |t| t.offset() as u32);
        let flag = |on: bool, bit: u32| if on { bit } else { 0 };
        let params = MmdParams {
            kind: kind as u32,
            m: x.size(0) as u32,
            n: y.size(0) as u32,
            d: x.size(1) as u32,
            p: columns as u32,
            gammas: gamma.numel() as u32,
            flags: flag(skip_diagonal, EXCLUDE_SELF) | flag(weights.is_empty(), UNIT),
            first: 0,
            x_at: x.offset() as u32,
            y_at: y.offset() as u32,
            gamma_at: gamma.offset() as u32,
            centre_at: centre.offset() as u32,
            u_at: offset(0),
            v_at: offset(weights.len().saturating_sub(1)),
            scale: 1.0 / x.size(1).max(1) as f32,
            shift: 1.0,
        };
        let mut reads = vec![x, y, gamma, centre];
        reads.extend(weights);
        Ok(Pairs { params, reads })
    }

    /// Launches a kernel that makes tensors of the given shapes.
    fn launch<const N: usize>(mut self, kernel: &'static Kernel, shapes: [[usize; 2]; N]) -> Result<[Tensor; N]> {
        let device = self.reads[0].device().clone();
        // Ones need no buffers, but the bindings do.
        let reads = kernel.bindings.len() - N;
        self.reads.resize(reads, self.reads[0].clone());
        let outs = shapes.map(|shape| Tensor::uninit("mmd", &shape, Dtype::F32, &device));
        let outs = outs.into_iter().collect::<Result<Vec<Tensor>>>()?;
        let buffers: Vec<_> = self.reads.iter().chain(&outs).map(Tensor::storage).collect();
        device.launch(kernel, &self.params, &buffers, [self.params.m, 1, 1])?;
        outs.try_into().map_err(|_| Error::Argument { op: "mmd", what: "outputs".into() })
    }

    /// Shapes of a product and of a gradient for the rows.
    fn of_x(&self) -> [[usize; 2]; 2] {
        let [m, p, d] = [self.params.m, self.params.p, self.params.d].map(|n| n as usize);
        [[m, p], [m, d]]
    }

    /// The same for the columns.
    fn of_y(&self) -> [[usize; 2]; 2] {
        let [n, p, d] = [self.params.n, self.params.p, self.params.d].map(|n| n as usize);
        [[n, p], [n, d]]
    }
}

/// `K(x, y) v`; inputs x, y, gamma, v.
pub fn mmd(similarity: Similarity, skip_diagonal: bool, inputs: &[&Tensor]) -> Result<Tensor> {
    let pairs = Pairs::new(similarity, skip_diagonal, [inputs[0], inputs[1], inputs[2]], &inputs[3..])?;
    let shape = pairs.of_x()[0];
    let [out] = pairs.launch(&APPLY, [shape])?;
    Ok(out)
}

/// Gradient of `<u, K(x, y) v>` with respect to x; inputs x, y, gamma, u, v.
pub fn mmd_grad(similarity: Similarity, skip_diagonal: bool, inputs: &[&Tensor]) -> Result<Tensor> {
    let pairs = Pairs::new(similarity, skip_diagonal, [inputs[0], inputs[1], inputs[2]], &inputs[3..])?;
    let shapes = pairs.of_x();
    let [_, grad] = pairs.launch(&APPLY_GRAD, shapes)?;
    Ok(grad)
}

/// Sum of `K(x, y)` over all pairs. Where gradients will be asked for, the same pass over the pairs
/// gives them; a set compared with itself needs that of one role only.
pub fn mmd_sum(kernel: &MmdKernel, x: &Tensor, y: &Tensor) -> Result<Tensor> {
    let MmdKernel { similarity, skip_diagonal, gamma } = kernel;
    let (similarity, skip_diagonal) = (*similarity, *skip_diagonal);
    let launch = Pairs::new(similarity, skip_diagonal, [x, y, gamma], &[])?;
    let ([out, grad], [out_y, grad_y]) = (launch.of_x(), launch.of_y());
    if !recording() || !(x.tracked() || y.tracked() || gamma.tracked()) {
        let [product] = launch.launch(&APPLY, [out])?;
        return no_grad(|| product.sum_all());
    }
    let none = || Tensor::zeros(&[0], x.device());
    let (product, gx, gy) = match (x.tracked(), y.tracked() && !x.is(y)) {
        (_, true) => {
            let [product, gx, _, gy] = launch.launch(&APPLY_BOTH, [out, grad, out_y, grad_y])?;
            (product, gx, gy)
        }
        (true, false) => {
            let [product, gx] = launch.launch(&APPLY_GRAD, [out, grad])?;
            (product, gx, none()?)
        }
        (false, false) => {
            let [product] = launch.launch(&APPLY, [out])?;
            (product, none()?, none()?)
        }
    };
    let sum = no_grad(|| product.sum_all())?;
    let inputs = vec![x.clone(), y.clone(), gamma.clone(), gx, gy];
    Ok(sum.with_node(Op::MmdSum { similarity, skip_diagonal }, inputs))
}
