//! Forward of reductions.

use super::view::dense;
use crate::error::Result;
pub use crate::kernel::reduce::Reduce;
use crate::kernel::reduce::{ALL, ARG, AXIS, AllParams, Arg, AxisParams, LAST, LastParams, SCAN, SEGMENT, ScanParams};
use crate::tensor::{Dtype, Tensor, shape};

pub fn name(f: Reduce) -> &'static str {
    match f {
        Reduce::Sum => "sum",
        Reduce::Max => "amax",
        Reduce::Min => "amin",
    }
}

/// Sizes before, along and after an axis.
fn around(x: &Tensor, axis: usize) -> (u32, u32, u32) {
    let count = |sizes: &[usize]| shape::numel(sizes) as u32;
    (count(&x.shape()[..axis]), x.size(axis) as u32, count(&x.shape()[axis + 1..]))
}

pub fn reduce(op: &'static str, f: Reduce, x: &Tensor, axis: usize) -> Result<Tensor> {
    shape::axis(op, axis, x.shape())?;
    let x = dense(op, x)?;
    let mut to = x.shape().to_vec();
    to.remove(axis);
    let out = Tensor::uninit(op, &to, Dtype::F32, x.device())?;
    let (outer, n, inner) = around(&x, axis);
    let buffers = [x.storage(), out.storage()];
    let (op, offset) = (f as u32, x.offset() as u32);
    // The last axis lies side by side in memory and is summed by lanes.
    if axis + 1 == x.rank() {
        x.device().launch(&LAST, &LastParams { op, offset, rows: outer, n }, &buffers, [outer, 1, 1])?;
    } else {
        x.device().launch(&AXIS, &AxisParams { op, offset, outer, n, inner }, &buffers, [outer * inner, 1, 1])?;
    }
    Ok(out)
}

pub fn reduce_all(op: &'static str, f: Reduce, x: &Tensor) -> Result<Tensor> {
    let x = dense(op, x)?;
    let out = Tensor::uninit(op, &[], Dtype::F32, x.device())?;
    let n = x.numel() as u32;
    let params = AllParams { op: f as u32, offset: x.offset() as u32, n };
    x.device().launch(&ALL, &params, &[x.storage(), out.storage()], [n.div_ceil(SEGMENT as u32), 1, 1])?;
    Ok(out)
}

pub fn cumsum(x: &Tensor, axis: usize) -> Result<Tensor> {
    shape::axis("cumsum", axis, x.shape())?;
    let x = dense("cumsum", x)?;
    let out = Tensor::uninit("cumsum", x.shape(), Dtype::F32, x.device())?;
    let (outer, n, inner) = around(&x, axis);
    let params = ScanParams { offset: x.offset() as u32, outer, n, inner };
    x.device().launch(&SCAN, &params, &[x.storage(), out.storage()], [outer * inner, 1, 1])?;
    Ok(out)
}

/// Index of the largest (or smallest) value along an axis.
pub fn arg(x: &Tensor, axis: usize, largest: bool) -> Result<Tensor> {
    shape::axis("argmax", axis, x.shape())?;
    let x = dense("argmax", x)?;
    let mut to = x.shape().to_vec();
    to.remove(axis);
    let out = Tensor::uninit("argmax", &to, Dtype::U32, x.device())?;
    let (outer, n, inner) = around(&x, axis);
    let op = if largest { Arg::Max } else { Arg::Min } as u32;
    let params = AxisParams { op, offset: x.offset() as u32, outer, n, inner };
    x.device().launch(&ARG, &params, &[x.storage(), out.storage()], [outer * inner, 1, 1])?;
    Ok(out)
}
