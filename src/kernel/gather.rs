//! Moving words: strided copies, rows by index, elements by index along an axis, their adjoints,
//! one-hot rows.
//!
//! Copies move 32-bit words and do not care what they mean; the `add` entries add f32. Unless a
//! [`Layout`] says otherwise, inputs are contiguous from a word offset and outputs from element 0.
//! Indices are u32. **An index outside the axis reads as 0 and is skipped when written or added**,
//! so that a wrong one is visible and harms nothing.
//!
//! Geometry: x = number of output elements ([`COPY`], [`SCATTER_ROWS`]: of elements moved).
//! Summation order of the `add` entries: ascending position of the index, one chain from +0.
//! Agreement: bits. Cost: 8 bytes per element moved.

use super::{Access, Access::*, Kernel, Layout};
use bytemuck::{Pod, Zeroable};

const fn entry(name: &'static str, bindings: &'static [Access]) -> Kernel {
    Kernel { name, bindings }
}

/// `out[dst(i)] = x[src(i)]` for every coordinate `i`; only those words of `out` are written. `dst`
/// must not map two coordinates to one word. Params [`CopyParams`]; buffers `x`, `out`.
pub static COPY: Kernel = entry("gather_copy", &[Read, Write]);
/// `out[i, :] = x[index[i], :]`; params [`RowsParams`]; buffers `x` `[n_rows, width]`, `index` `[m]`,
/// `out` `[m, width]`.
pub static ROWS: Kernel = entry("gather_rows", &[Read, Read, Write]);
/// `out[index[i], :] = x[i, :]`, the indices all different; params [`RowsParams`]; buffers `x`
/// `[m, width]`, `index` `[m]`, `out` `[n_rows, width]`.
pub static SCATTER_ROWS: Kernel = entry("gather_scatter_rows", &[Read, Read, Update]);
/// `out[r, :] = sum of x[i, :] over index[i] = r`; params [`RowsParams`]; buffers `x` `[m, width]`,
/// `index` `[m]`, `out` `[n_rows, width]`.
pub static ADD_ROWS: Kernel = entry("gather_add_rows", &[Read, Read, Write]);
/// `out[o, i, k] = x[o, index[o, i, k], k]`; params [`AlongParams`]; buffers `x` `[outer, n, inner]`,
/// `index` and `out` `[outer, m, inner]`.
pub static ALONG: Kernel = entry("gather_along", &[Read, Read, Write]);
/// `out[o, j, k] = sum of x[o, i, k] over index[o, i, k] = j`; params [`AlongParams`]; buffers `x`
/// and `index` `[outer, m, inner]`, `out` `[outer, n, inner]`.
pub static ADD_ALONG: Kernel = entry("gather_add_along", &[Read, Read, Write]);
/// `out[i, j] = index[i] == j ? 1 : 0`; params [`OneHotParams`]; buffers `index` `[m]`, `out`
/// `[m, classes]`.
pub static ONE_HOT: Kernel = entry("gather_one_hot", &[Read, Write]);

/// Both layouts have the same shape.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct CopyParams {
    /// Where elements come from.
    pub src: Layout,
    /// Where they go.
    pub dst: Layout,
}

/// Parameters of launches on rows.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct RowsParams {
    /// First word of x.
    pub x_offset: u32,
    /// First word of the indices.
    pub index_offset: u32,
    /// Rows that an index may name.
    pub n_rows: u32,
    /// Elements of a row.
    pub width: u32,
    /// Number of indices.
    pub m: u32,
}

/// Parameters of launches along an axis.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct AlongParams {
    /// First word of x.
    pub x_offset: u32,
    /// First word of the indices.
    pub index_offset: u32,
    /// Product of the axes before.
    pub outer: u32,
    /// Length of the axis that an index names a place on.
    pub n: u32,
    /// Product of the axes after.
    pub inner: u32,
    /// Number of indices along the axis.
    pub m: u32,
}

/// Parameters of [`ONE_HOT`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct OneHotParams {
    /// First word of the indices.
    pub index_offset: u32,
    /// Number of indices.
    pub m: u32,
    /// Number of classes.
    pub classes: u32,
}
