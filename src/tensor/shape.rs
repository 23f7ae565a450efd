//! Shapes and strides: broadcasting, row-major strides, views.

use crate::error::{Error, Result};
use crate::kernel::MAX_RANK;

/// Number of elements of a shape (1 for a scalar).
pub fn numel(shape: &[usize]) -> usize {
    shape.iter().product()
}

/// Row-major strides of a shape, in elements.
pub fn row_major(shape: &[usize]) -> Vec<isize> {
    let mut strides = vec![0; shape.len()];
    let mut step = 1isize;
    for (s, &n) in strides.iter_mut().zip(shape).rev() {
        *s = step;
        step *= n as isize;
    }
    strides
}

/// Whether elements follow each other in row-major order.
pub fn is_contiguous(shape: &[usize], strides: &[isize]) -> bool {
    let mut step = 1isize;
    for (&n, &s) in shape.iter().zip(strides).rev() {
        if n != 1 && s != step {
            return false;
        }
        step *= n as isize;
    }
    true
}

/// The shape that both broadcast to: aligned at the last axis, 1 stretches.
///
/// # Errors
/// `Error::Shape` if an axis differs and neither side is 1.
pub fn broadcast(op: &'static str, a: &[usize], b: &[usize]) -> Result<Vec<usize>> {
    let rank = a.len().max(b.len());
    let at = |s: &[usize], i: usize| (i + s.len()).checked_sub(rank).map_or(1, |k| s[k]);
    (0..rank)
        .map(|i| match (at(a, i), at(b, i)) {
            (x, y) if x == y => Ok(x),
            (1, y) => Ok(y),
            (x, 1) => Ok(x),
            _ => Err(Error::Shape {
                op,
                expected: "shapes that broadcast (equal or 1 in every axis)".into(),
                found: format!("{a:?} and {b:?}"),
            }),
        })
        .collect()
}

/// Strides that read a tensor of `shape` as if it had the shape `to`; stretched axes get stride 0.
pub fn expand_strides(shape: &[usize], strides: &[isize], to: &[usize]) -> Vec<isize> {
    let lead = to.len() - shape.len();
    (0..to.len())
        .map(|i| if i < lead || (shape[i - lead] == 1 && to[i] != 1) { 0 } else { strides[i - lead] })
        .collect()
}

/// Checks that kernels can address the shape.
pub fn check(op: &'static str, shape: &[usize]) -> Result<()> {
    let fits =
        shape.len() <= MAX_RANK && shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).is_some_and(|n| n < 1 << 31);
    if fits {
        return Ok(());
    }
    Err(Error::Shape {
        op,
        expected: format!("at most {MAX_RANK} axes and 2^31 - 1 elements"),
        found: format!("{shape:?}"),
    })
}

/// Checks an axis.
pub fn axis(op: &'static str, axis: usize, shape: &[usize]) -> Result<()> {
    if axis < shape.len() {
        return Ok(());
    }
    Err(Error::Shape {
        op,
        expected: format!("an axis below {}", shape.len()),
        found: format!("axis {axis} of {shape:?}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broadcasting_follows_the_last_axes() {
        assert_eq!(broadcast("t", &[3, 1], &[4]).unwrap(), [3, 4]);
        assert_eq!(broadcast("t", &[], &[2, 0]).unwrap(), [2, 0]);
        assert!(broadcast("t", &[3], &[4]).is_err());
        assert_eq!(expand_strides(&[3, 1], &[1, 1], &[2, 3, 4]), [0, 1, 0]);
    }

    #[test]
    fn contiguity_ignores_axes_of_one() {
        assert!(is_contiguous(&[4, 1, 3], &[3, 77, 1]));
        assert!(!is_contiguous(&[4, 3], &[1, 4]));
        assert_eq!(row_major(&[2, 3, 4]), [12, 4, 1]);
    }
}
