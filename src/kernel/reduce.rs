//! Sums, maxima and minima along an axis or of everything, argmax and argmin, cumulative sums.
//!
//! Inputs are contiguous from a word `offset`; outputs are contiguous from element 0. An axis in
//! the middle is given by (`outer`, `n`, `inner`): element `(o, i, k)` is word
//! `offset + (o n + i) inner + k`.
//!
//! # Summation orders
//! All sums of the crate follow one of these. `join` is `a + b`, or for maxima
//! `b > a or b is NaN ? b : a` (so NaN stays, and of equal values the first operand stays).
//! - **lanes**, for `n` values that lie side by side: `L = min(256, next power of two of n)` lanes;
//!   lane `l` joins `x[l], x[l+L], ...` in order, from the identity; then lane `l` joins lane
//!   `l + s` for `s = L/2, ..., 1`.
//! - **blocks**, for `n` values along another axis: blocks of 64, each joined in order from the
//!   identity; then the block totals in order, the first taken as it is.
//! - **everything**: segments of 65536 by lanes, then their totals by this same rule until one is left.
//!
//! The identity is +0, -inf or +inf, and also the result of nothing.
//!
//! Geometry: x = number of outputs (for [`ALL`]: of segments). Agreement: bits.
//! Cost: 4 bytes read and one operation per input element.

use super::{Access, Access::*, Kernel};
use bytemuck::{Pod, Zeroable};

const fn entry(name: &'static str, bindings: &'static [Access]) -> Kernel {
    Kernel { name, bindings }
}

/// `out[r] = join of x[r, :]`, by lanes; params [`LastParams`]; buffers `x`, `out`.
pub static LAST: Kernel = entry("reduce_last", &[Read, Write]);
/// `out[o, k] = join of x[o, :, k]`, by blocks; params [`AxisParams`] with a [`Reduce`]; buffers
/// `x`, `out`.
pub static AXIS: Kernel = entry("reduce_axis", &[Read, Write]);
/// `out[0] = join of x`, by the rule for everything; params [`AllParams`]; buffers `x`, `out`.
pub static ALL: Kernel = entry("reduce_all", &[Read, Write]);
/// `out[o, k]` (u32) = where `x[o, :, k]` is largest or smallest; NaN counts as the extreme; ties
/// take the lowest index; 0 for `n = 0`. Params [`AxisParams`] with an [`Arg`]; buffers `x`, `out`.
pub static ARG: Kernel = entry("reduce_arg", &[Read, Write]);
/// Inclusive cumulative sum: `out[o, 0, k] = x[o, 0, k]`, `out[o, i, k] = out[o, i-1, k] + x[o, i, k]`.
/// Params [`ScanParams`]; buffers `x`, `out`.
pub static SCAN: Kernel = entry("reduce_scan", &[Read, Write]);

/// Most lanes of a sum along the contiguous axis.
pub const LANES: usize = 256;
/// Rows of a block in a sum along another axis.
pub const BLOCK: usize = 64;
/// Elements of a segment in a sum of everything.
pub const SEGMENT: usize = 65536;

/// What is joined.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reduce {
    /// `a + b`, from +0.
    Sum,
    /// NaN if any value is.
    Max,
    /// NaN if any value is.
    Min,
}

impl Reduce {
    /// In the order of their codes.
    pub const ALL: [Reduce; 3] = [Reduce::Sum, Reduce::Max, Reduce::Min];

    /// Back from a params word.
    pub fn from_code(code: u32) -> Option<Reduce> {
        Self::ALL.get(code as usize).copied()
    }
}

/// Whose place is sought.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Arg {
    /// Where the largest value is.
    Max,
    /// Where the smallest value is.
    Min,
}

impl Arg {
    /// In the order of their codes.
    pub const ALL: [Arg; 2] = [Arg::Max, Arg::Min];

    /// Back from a params word.
    pub fn from_code(code: u32) -> Option<Arg> {
        Self::ALL.get(code as usize).copied()
    }
}

/// Parameters of [`LAST`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct LastParams {
    /// A [`Reduce`].
    pub op: u32,
    /// First word of x.
    pub offset: u32,
    /// Number of sums.
    pub rows: u32,
    /// Length of a row.
    pub n: u32,
}

/// Parameters of [`AXIS`] and [`ARG`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct AxisParams {
    /// A [`Reduce`], or an [`Arg`].
    pub op: u32,
    /// First word of x.
    pub offset: u32,
    /// Product of the axes before.
    pub outer: u32,
    /// Length of the axis that goes.
    pub n: u32,
    /// Product of the axes after.
    pub inner: u32,
}

/// Parameters of [`ALL`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct AllParams {
    /// A [`Reduce`].
    pub op: u32,
    /// First word of x.
    pub offset: u32,
    /// Number of values.
    pub n: u32,
}

/// Parameters of [`SCAN`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct ScanParams {
    /// First word of x.
    pub offset: u32,
    /// Product of the axes before.
    pub outer: u32,
    /// Length of the axis that is summed along.
    pub n: u32,
    /// Product of the axes after.
    pub inner: u32,
}
