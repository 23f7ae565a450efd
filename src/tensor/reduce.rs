//! Reductions and what is composed of them.

use super::op::{Op, Reduce, apply, reduce_arg};
use super::{Tensor, shape};
use crate::error::Result;

impl Tensor {
    fn along(&self, f: Reduce, axes: &[usize], keep: bool) -> Result<Tensor> {
        let mut axes = axes.to_vec();
        axes.sort_unstable();
        axes.dedup();
        let mut kept = self.shape().to_vec();
        for &axis in &axes {
            shape::axis("reduce", axis, self.shape())?;
            kept[axis] = 1;
        }
        let out = if axes.len() == self.rank() && !matches!(axes.len(), 1) {
            apply(Op::ReduceAll(f), &[self])?
        } else {
            axes.iter().rev().try_fold(self.clone(), |x, &axis| apply(Op::Reduce { f, axis }, &[&x]))?
        };
        if keep { out.reshape(&kept) } else { Ok(out) }
    }

    /// Sum of everything, shape `[]`.
    pub fn sum_all(&self) -> Result<Tensor> {
        apply(Op::ReduceAll(Reduce::Sum), &[self])
    }

    /// Sum along `axes`, which disappear (or stay with size 1 if `keep`).
    pub fn sum(&self, axes: &[usize], keep: bool) -> Result<Tensor> {
        self.along(Reduce::Sum, axes, keep)
    }

    /// Mean of everything, shape `[]`; NaN if there is nothing.
    pub fn mean_all(&self) -> Result<Tensor> {
        self.sum_all()?.div_count(self.numel())
    }

    /// Mean along `axes`.
    pub fn mean(&self, axes: &[usize], keep: bool) -> Result<Tensor> {
        let count = axes.iter().map(|&a| self.shape().get(a).copied().unwrap_or(1)).product();
        self.sum(axes, keep)?.div_count(count)
    }

    /// `x / n`, one rounding per element.
    pub(crate) fn div_count(&self, n: usize) -> Result<Tensor> {
        self.div(&Tensor::scalar(n as f32, self.device())?)
    }

    /// Largest value along `axes`; equal maxima share the gradient.
    pub fn amax(&self, axes: &[usize], keep: bool) -> Result<Tensor> {
        self.along(Reduce::Max, axes, keep)
    }

    /// Smallest value along `axes`; equal minima share the gradient.
    pub fn amin(&self, axes: &[usize], keep: bool) -> Result<Tensor> {
        self.along(Reduce::Min, axes, keep)
    }

    /// Index (u32) of the largest value along `axis`, the lowest where several are equal.
    pub fn argmax(&self, axis: usize) -> Result<Tensor> {
        reduce_arg(self, axis, true)
    }

    /// Index (u32) of the smallest value along `axis`, the lowest where several are equal.
    pub fn argmin(&self, axis: usize) -> Result<Tensor> {
        reduce_arg(self, axis, false)
    }

    /// Largest value along `axis` with its index; the gradient goes to that index alone.
    pub fn max_with_index(&self, axis: usize) -> Result<(Tensor, Tensor)> {
        let index = self.argmax(axis)?;
        let mut kept = self.shape().to_vec();
        kept[axis] = 1;
        let picked = self.gather(axis, &index.reshape(&kept)?)?;
        Ok((picked.reshape(index.shape())?, index))
    }

    /// Variance along `axes` with divisor `n - ddof`, two passes; the mean's own rounding, which
    /// counts when values lie far from 0, is taken out by centring twice.
    pub fn var(&self, axes: &[usize], ddof: usize, keep: bool) -> Result<Tensor> {
        let count: usize = axes.iter().map(|&a| self.shape().get(a).copied().unwrap_or(1)).product();
        let centred = self.sub(&self.mean(axes, true)?)?;
        let centred = centred.sub(&centred.mean(axes, true)?)?;
        centred.square()?.sum(axes, keep)?.div_count(count.saturating_sub(ddof))
    }

    /// Standard deviation along `axes`; see [`Tensor::var`].
    pub fn std(&self, axes: &[usize], ddof: usize, keep: bool) -> Result<Tensor> {
        self.var(axes, ddof, keep)?.sqrt()
    }

    /// Product along `axis`, by halves: right, and differentiable, also where factors are 0.
    pub fn prod(&self, axis: usize) -> Result<Tensor> {
        shape::axis("prod", axis, self.shape())?;
        let mut x = self.clone();
        while x.size(axis) > 1 {
            let (n, half) = (x.size(axis), x.size(axis) / 2);
            let low = x.narrow(axis, 0, half)?.mul(&x.narrow(axis, half, half)?)?;
            x = if n % 2 == 1 { Tensor::concat(&[&low, &x.narrow(axis, n - 1, 1)?], axis)? } else { low };
        }
        let mut shape = self.shape().to_vec();
        shape.remove(axis);
        if self.size(axis) == 0 { Tensor::ones(&shape, self.device()) } else { x.reshape(&shape) }
    }

    /// Euclidean length along `axes`; its gradient is 0 where the length is 0.
    pub fn norm(&self, axes: &[usize], keep: bool) -> Result<Tensor> {
        self.square()?.sum(axes, keep)?.safe_sqrt()
    }

    /// `√x` with slope 0 where x is 0.
    pub fn safe_sqrt(&self) -> Result<Tensor> {
        let zero = Tensor::scalar(0.0, self.device())?;
        let positive = self.detach().gt(&zero)?;
        let one = Tensor::scalar(1.0, self.device())?;
        positive.select(&positive.select(self, &one)?.sqrt()?, &zero)
    }

    /// Running sum along `axis`.
    pub fn cumsum(&self, axis: usize) -> Result<Tensor> {
        apply(Op::CumSum { axis }, &[self])
    }

    /// Sums over the axes along which `self` was broadcast from `shape`.
    pub(crate) fn sum_to(&self, to: &[usize]) -> Result<Tensor> {
        if self.shape() == to {
            return Ok(self.clone());
        }
        let lead = self.rank() - to.len();
        let axes: Vec<usize> =
            (0..self.rank()).filter(|&i| i < lead || (to[i - lead] == 1 && self.size(i) != 1)).collect();
        let out = if axes.len() == self.rank() { self.sum_all()? } else { self.sum(&axes, false)? };
        out.reshape(to)
    }
}
