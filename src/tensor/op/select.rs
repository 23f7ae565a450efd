//! Forward of selection by index.

use super::view::dense;
use crate::error::{Error, Result};
use crate::kernel::gather::{ADD_ALONG, ADD_ROWS, ALONG, AlongParams, ONE_HOT, OneHotParams, ROWS, RowsParams};
use crate::tensor::{Dtype, Tensor, shape};

/// A contiguous index tensor.
fn index(op: &'static str, idx: &Tensor) -> Result<Tensor> {
    idx.expect(op, Dtype::U32)?;
    if idx.is_contiguous() { Ok(idx.detach()) } else { super::view::contiguous(idx) }
}

fn needs_rows(op: &'static str, x: &Tensor) -> Result<()> {
    shape::axis(op, 0, x.shape())
}

pub fn gather_rows(x: &Tensor, idx: &Tensor) -> Result<Tensor> {
    needs_rows("index_select", x)?;
    let x = if x.is_contiguous() { x.detach() } else { super::view::contiguous(x)? };
    let idx = index("index_select", idx)?;
    let mut to = x.shape().to_vec();
    to[0] = idx.numel();
    let out = Tensor::uninit("index_select", &to, x.dtype(), x.device())?;
    let width = shape::numel(&x.shape()[1..]) as u32;
    let params = RowsParams {
        x_offset: x.offset() as u32,
        index_offset: idx.offset() as u32,
        n_rows: x.size(0) as u32,
        width,
        m: idx.numel() as u32,
    };
    x.device().launch(&ROWS, &params, &[x.storage(), idx.storage(), out.storage()], [out.numel() as u32, 1, 1])?;
    Ok(out)
}

pub fn add_rows(x: &Tensor, idx: &Tensor, rows: usize) -> Result<Tensor> {
    needs_rows("index_add", x)?;
    let x = dense("index_add", x)?;
    let idx = index("index_add", idx)?;
    idx.expect_shape("index_add", &[x.size(0)])?;
    let mut to = x.shape().to_vec();
    to[0] = rows;
    let out = Tensor::uninit("index_add", &to, Dtype::F32, x.device())?;
    let width = shape::numel(&x.shape()[1..]) as u32;
    let params = RowsParams {
        x_offset: x.offset() as u32,
        index_offset: idx.offset() as u32,
        n_rows: rows as u32,
        width,
        m: idx.numel() as u32,
    };
    x.device().launch(&ADD_ROWS, &params, &[x.storage(), idx.storage(), out.storage()], [out.numel() as u32, 1, 1])?;
    Ok(out)
}

/// Fails unless `idx` has the shape of `x` but for `axis`.
fn beside(op: &'static str, x: &Tensor, idx: &Tensor, axis: usize) -> Result<()> {
    shape::axis(op, axis, x.shape())?;
    let mut like = x.shape().to_vec();
    like[axis] = *idx.shape().get(axis).unwrap_or(&0);
    if idx.shape() == like {
        return Ok(());
    }
    Err(Error::Shape {
        op,
        expected: format!("indices like {:?} but for axis {axis}", x.shape()),
        found: format!("{:?}", idx.shape()),
    })
}

fn along(x: &Tensor, idx: &Tensor, axis: usize, n: usize) -> AlongParams {
    AlongParams {
        x_offset: x.offset() as u32,
        index_offset: idx.offset() as u32,
        outer: shape::numel(&x.shape()[..axis]) as u32,
        n: n as u32,
        inner: shape::numel(&x.shape()[axis + 1..]) as u32,
        m: idx.size(axis) as u32,
    }
}

pub fn gather(x: &Tensor, idx: &Tensor, axis: usize) -> Result<Tensor> {
    beside("gather", x, idx, axis)?;
    let (x, idx) = (dense("gather", x)?, index("gather", idx)?);
    let out = Tensor::uninit("gather", idx.shape(), Dtype::F32, x.device())?;
    let params = along(&x, &idx, axis, x.size(axis));
    x.device().launch(&ALONG, &params, &[x.storage(), idx.storage(), out.storage()], [out.numel() as u32, 1, 1])?;
    Ok(out)
}

pub fn add_along(x: &Tensor, idx: &Tensor, axis: usize, size: usize) -> Result<Tensor> {
    shape::axis("scatter_add", axis, x.shape())?;
    idx.expect_shape("scatter_add", x.shape())?;
    let (x, idx) = (dense("scatter_add", x)?, index("scatter_add", idx)?);
    let mut to = x.shape().to_vec();
    to[axis] = size;
    let out = Tensor::uninit("scatter_add", &to, Dtype::F32, x.device())?;
    let params = along(&x, &idx, axis, size);
    x.device().launch(&ADD_ALONG, &params, &[x.storage(), idx.storage(), out.storage()], [out.numel() as u32, 1, 1])?;
    Ok(out)
}

pub fn one_hot(idx: &Tensor, classes: usize) -> Result<Tensor> {
    let idx = index("one_hot", idx)?;
    let mut to = idx.shape().to_vec();
    to.push(classes);
    let out = Tensor::uninit("one_hot", &to, Dtype::F32, idx.device())?;
    let params = OneHotParams { index_offset: idx.offset() as u32, m: idx.numel() as u32, classes: classes as u32 };
    idx.device().launch(&ONE_HOT, &params, &[idx.storage(), out.storage()], [out.numel() as u32, 1, 1])?;
    Ok(out)
}
