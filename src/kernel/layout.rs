//! Strided views as kernels see them.

use bytemuck::{Pod, Zeroable};

/// Largest rank a kernel takes.
pub const MAX_RANK: usize = 6;

/// How a logical array lies in a buffer. Counted in 32-bit elements; strides may be 0 (broadcast)
/// or negative (flip). Dimensions are right-aligned: unused leading ones have size 1.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct Layout {
    /// Size along each axis.
    pub shape: [u32; MAX_RANK],
    /// Words from an element to the next along each axis.
    pub strides: [i32; MAX_RANK],
    /// Index of the element at coordinate 0.
    pub offset: u32,
}

impl Layout {
    /// A view of `shape` with the given strides. Rank at most [`MAX_RANK`].
    pub fn new(shape: &[usize], strides: &[isize], offset: usize) -> Self {
        debug_assert!(shape.len() <= MAX_RANK && shape.len() == strides.len());
        let lead = MAX_RANK - shape.len();
        let mut layout = Layout { shape: [1; MAX_RANK], strides: [0; MAX_RANK], offset: offset as u32 };
        for (i, (&n, &s)) in shape.iter().zip(strides).enumerate() {
            layout.shape[lead + i] = n as u32;
            layout.strides[lead + i] = s as i32;
        }
        layout
    }

    /// Row-major layout of `shape` from `offset`.
    pub fn contiguous(shape: &[usize], offset: usize) -> Self {
        let mut strides = vec![0isize; shape.len()];
        let mut step = 1isize;
        for i in (0..shape.len()).rev() {
            strides[i] = step;
            step *= shape[i] as isize;
        }
        Self::new(shape, &strides, offset)
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().map(|&n| n as usize).product()
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether elements follow each other in the buffer in row-major order.
    pub fn is_contiguous(&self) -> bool {
        let mut step = 1i64;
        for (&n, &s) in self.shape.iter().zip(&self.strides).rev() {
            if n != 1 && i64::from(s) != step {
                return false;
            }
            step *= i64::from(n);
        }
        true
    }

    /// Buffer index of the `i`-th element in row-major order.
    pub fn index(&self, i: usize) -> usize {
        let mut rest = i as u64;
        let mut at = i64::from(self.offset);
        for d in (0..MAX_RANK).rev() {
            let n = u64::from(self.shape[d]);
            at += (rest % n) as i64 * i64::from(self.strides[d]);
            rest /= n;
        }
        at as usize
    }
}
