//! Forward of views (no copy) and of the copies that make new layouts.

use crate::error::{Error, Result};
use crate::kernel::Layout;
use crate::kernel::gather::{COPY, CopyParams};
use crate::tensor::{Dtype, Tensor, shape};

/// Copies `x` into the part of `out` that `to` describes.
fn copy(x: &Tensor, out: &Tensor, to: Layout) -> Result<()> {
    let params = CopyParams { src: x.layout(), dst: to };
    x.device().launch(&COPY, &params, &[x.storage(), out.storage()], [x.numel() as u32, 1, 1])
}

pub fn contiguous(x: &Tensor) -> Result<Tensor> {
    let out = Tensor::uninit("contiguous", x.shape(), x.dtype(), x.device())?;
    copy(x, &out, out.layout())?;
    Ok(out)
}

pub fn reshape(x: &Tensor, to: &[usize]) -> Result<Tensor> {
    shape::check("reshape", to)?;
    if shape::numel(to) != x.numel() {
        return Err(Error::Shape {
            op: "reshape",
            expected: format!("a shape of {} elements", x.numel()),
            found: format!("{:?} to {to:?}", x.shape()),
        });
    }
    let flat = if x.is_contiguous() { x.detach() } else { contiguous(x)? };
    Ok(flat.view(to.to_vec(), shape::row_major(to), flat.offset()))
}

pub fn permute(x: &Tensor, axes: &[usize]) -> Result<Tensor> {
    let mut sorted = axes.to_vec();
    sorted.sort_unstable();
    if sorted != (0..x.rank()).collect::<Vec<_>>() {
        return Err(Error::Shape {
            op: "permute",
            expected: format!("each of the {} axes once", x.rank()),
            found: format!("{axes:?}"),
        });
    }
    let shape = axes.iter().map(|&a| x.size(a)).collect();
    let strides = axes.iter().map(|&a| x.strides()[a]).collect();
    Ok(x.view(shape, strides, x.offset()))
}

pub fn expand(x: &Tensor, to: &[usize]) -> Result<Tensor> {
    shape::check("expand", to)?;
    if shape::broadcast("expand", x.shape(), to)? != to {
        return Err(Error::Shape {
            op: "expand",
            expected: format!("a shape that {:?} stretches to", x.shape()),
            found: format!("{to:?}"),
        });
    }
    Ok(x.view(to.to_vec(), shape::expand_strides(x.shape(), x.strides(), to), x.offset()))
}

pub fn slice(x: &Tensor, axis: usize, start: usize, step: usize, len: usize) -> Result<Tensor> {
    shape::axis("slice", axis, x.shape())?;
    let n = x.size(axis);
    let last = len.checked_sub(1).map(|l| start + l * step);
    if step == 0 || last.is_some_and(|l| l >= n) || start > n {
        return Err(Error::Shape {
            op: "slice",
            expected: format!("indices below {n} along axis {axis}"),
            found: format!("{len} from {start}, every {step}"),
        });
    }
    let mut shape = x.shape().to_vec();
    let mut strides = x.strides().to_vec();
    // An empty slice may start at the end, one past the storage; it is never read.
    let start = if len == 0 { 0 } else { start };
    let offset = (x.offset() as isize + start as isize * strides[axis]) as usize;
    shape[axis] = len;
    strides[axis] *= step as isize;
    Ok(x.view(shape, strides, offset))
}

pub fn flip(x: &Tensor, axis: usize) -> Result<Tensor> {
    shape::axis("flip", axis, x.shape())?;
    let mut strides = x.strides().to_vec();
    let last = x.size(axis).saturating_sub(1) as isize;
    let offset = (x.offset() as isize + last * strides[axis]) as usize;
    strides[axis] = -strides[axis];
    Ok(x.view(x.shape().to_vec(), strides, offset))
}

pub fn place(x: &Tensor, axis: usize, start: usize, step: usize, size: usize) -> Result<Tensor> {
    shape::axis("place", axis, x.shape())?;
    let mut full = x.shape().to_vec();
    full[axis] = size;
    let out = Tensor::zeros(&full, x.device())?;
    let part = slice(&out, axis, start, step, x.size(axis))?;
    copy(x, &out, part.layout())?;
    Ok(out)
}

pub fn concat(parts: &[&Tensor], axis: usize) -> Result<Tensor> {
    let first = parts[0];
    shape::axis("concat", axis, first.shape())?;
    let mut full = first.shape().to_vec();
    full[axis] = 0;
    for part in parts {
        let mut like = part.shape().to_vec();
        if like.len() == full.len() {
            full[axis] += like[axis];
            like[axis] = full[axis];
        }
        if like != full || part.dtype() != first.dtype() {
            return Err(Error::Shape {
                op: "concat",
                expected: format!("parts like {:?} but for axis {axis}, all of one type", first.shape()),
                found: format!("{:?}", part.shape()),
            });
        }
    }
    let out = Tensor::uninit("concat", &full, first.dtype(), first.device())?;
    let mut start = 0;
    for part in parts {
        let to = slice(&out, axis, start, 1, part.size(axis))?;
        copy(part, &out, to.layout())?;
        start += part.size(axis);
    }
    Ok(out)
}

/// A contiguous f32 tensor as kernels of rows need it: `x` itself if it is one.
pub fn dense(op: &'static str, x: &Tensor) -> Result<Tensor> {
    x.expect(op, Dtype::F32)?;
    if x.is_contiguous() { Ok(x.detach()) } else { contiguous(x) }
}
