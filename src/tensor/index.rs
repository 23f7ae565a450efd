//! Views, joining, and selection by index.

use super::op::{Op, apply, one_hot};
use super::{Dtype, Tensor, shape};
use crate::error::{Error, Result};

impl Tensor {
    /// The same elements in another shape; a view if `self` is contiguous.
    pub fn reshape(&self, to: &[usize]) -> Result<Tensor> {
        if self.shape() == to { Ok(self.clone()) } else { apply(Op::Reshape(to.to_vec()), &[self]) }
    }

    /// Row-major in memory: itself if it is, else a copy.
    pub fn contiguous(&self) -> Result<Tensor> {
        if self.is_contiguous() { Ok(self.clone()) } else { apply(Op::Contiguous, &[self]) }
    }

    /// Axes in another order; a view.
    pub fn permute(&self, axes: &[usize]) -> Result<Tensor> {
        apply(Op::Permute(axes.to_vec()), &[self])
    }

    /// The last two axes swapped; a view.
    ///
    /// # Errors
    /// `Error::Shape` for fewer than two axes.
    pub fn t(&self) -> Result<Tensor> {
        let r = self.rank();
        if r < 2 {
            return Err(Error::Shape {
                op: "t",
                expected: "two axes or more".into(),
                found: format!("{:?}", self.shape()),
            });
        }
        let mut axes: Vec<usize> = (0..r).collect();
        axes.swap(r - 1, r - 2);
        self.permute(&axes)
    }

    /// Axes of size 1 (or new leading ones) stretched; a view.
    pub fn expand(&self, to: &[usize]) -> Result<Tensor> {
        if self.shape() == to { Ok(self.clone()) } else { apply(Op::Expand(to.to_vec()), &[self]) }
    }

    /// A new axis of size 1 before `axis`; a view.
    pub fn unsqueeze(&self, axis: usize) -> Result<Tensor> {
        let mut to = self.shape().to_vec();
        if axis > to.len() {
            shape::axis("unsqueeze", axis, &to)?;
        }
        to.insert(axis, 1);
        self.reshape(&to)
    }

    /// `len` entries along `axis` from `start`; a view.
    pub fn narrow(&self, axis: usize, start: usize, len: usize) -> Result<Tensor> {
        self.slice(axis, start, 1, len)
    }

    /// `len` entries along `axis` from `start`, every `step`-th; a view.
    pub fn slice(&self, axis: usize, start: usize, step: usize, len: usize) -> Result<Tensor> {
        apply(Op::Slice { axis, start, step, len }, &[self])
    }

    /// Reversed along `axis`; a view.
    pub fn flip(&self, axis: usize) -> Result<Tensor> {
        apply(Op::Flip { axis }, &[self])
    }

    /// One after the other along `axis`.
    ///
    /// # Errors
    /// `Error::Shape` for no parts or parts that differ in another axis.
    pub fn concat(parts: &[&Tensor], axis: usize) -> Result<Tensor> {
        if parts.is_empty() {
            return Err(Error::Shape { op: "concat", expected: "at least one part".into(), found: "none".into() });
        }
        apply(Op::Concat { axis }, parts)
    }

    /// The elements of several tensors, each in row-major order, one after the other, off the tape.
    ///
    /// # Errors
    /// `Error::Shape` for no tensors.
    pub fn join(tensors: &[&Tensor]) -> Result<Tensor> {
        let flat = tensors.iter().map(|t| t.detach().reshape(&[t.numel()])).collect::<Result<Vec<_>>>()?;
        Tensor::concat(&flat.iter().collect::<Vec<_>>(), 0)
    }

    /// The values of several f32 tensors, each in row-major order, in one download.
    pub fn to_vecs(tensors: &[&Tensor]) -> Result<Vec<Vec<f32>>> {
        if tensors.is_empty() {
            return Ok(Vec::new());
        }
        let values = Tensor::join(tensors)?.to_vec()?;
        let mut rest = values.as_slice();
        let mut take = |n| {
            let (part, after) = rest.split_at(n);
            rest = after;
            part.to_vec()
        };
        Ok(tensors.iter().map(|t| take(t.numel())).collect())
    }

    /// Side by side along a new axis.
    pub fn stack(parts: &[&Tensor], axis: usize) -> Result<Tensor> {
        let parts = parts.iter().map(|p| p.unsqueeze(axis)).collect::<Result<Vec<_>>>()?;
        Tensor::concat(&parts.iter().collect::<Vec<_>>(), axis)
    }

    /// Rows `idx` (u32, any shape) of axis 0: shape `idx ++ self[1..]`. Indices must be below the
    /// number of rows; a row that is not there reads as 0.
    pub fn index_select(&self, idx: &Tensor) -> Result<Tensor> {
        idx.expect("index_select", Dtype::U32)?;
        let mut to = idx.shape().to_vec();
        to.extend(&self.shape()[1..]);
        apply(Op::GatherRows, &[self, &idx.reshape(&[idx.numel()])?])?.reshape(&to)
    }

    /// Zeros of `rows` rows with the rows of `self` added at `idx` (u32 `[m]`).
    pub fn add_rows(&self, idx: &Tensor, rows: usize) -> Result<Tensor> {
        apply(Op::AddRows { rows }, &[self, idx])
    }

    /// Elements along `axis` at `idx` (u32, the shape of the result).
    pub fn gather(&self, axis: usize, idx: &Tensor) -> Result<Tensor> {
        apply(Op::Gather { axis }, &[self, idx])
    }

    /// Zeros of `size` along `axis` with the elements of `self` added at `idx`: the adjoint of
    /// [`Tensor::gather`].
    pub fn add_along(&self, axis: usize, idx: &Tensor, size: usize) -> Result<Tensor> {
        apply(Op::AddAlong { axis, size }, &[self, idx])
    }

    /// f32 `[.., classes]` with 1 at the class of each entry (u32).
    pub fn one_hot(&self, classes: usize) -> Result<Tensor> {
        one_hot(self, classes)
    }
}
