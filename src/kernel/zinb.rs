//! Log-likelihood of counts under a (zero-inflated) negative binomial, with its gradients, in one
//! pass over memory.
//!
//! Entries: `value`, `value_grad` (dense counts), `csr_value`, `csr_value_grad` (sparse counts; the
//! same bits). Row `i` of `rows` has `genes` entries with `m[i][g] = ln mu`, zero-inflation logit
//! `h[i][g]` and the counts of cell `c = i / repeat` (several rows may share a cell: components of a
//! mixture, samples of a latent variable). `r[s][g] = ln theta` with `s = segment[c]`, so that the
//! dispersion may depend on the batch. Counts are whole numbers >= 0 stored as f32.
//!
//! ```text
//! ll[i]    = sum over g of ln p(x[c][g])     lanes: L = min(256, next power of two of genes); lane l
//!                                            adds genes l, l+L, .. from +0; halving combines them
//! dm[i][g] = weight[i] * d ln p / dm         the same for dh
//! dr[i][g] = weight[i] * d ln p / dr         or, with R_BLOCKS, dr[b][s][g] = sum of these over the
//!                                            rows of segment s among rows 64 b .. 64 b + 63, added
//!                                            in order from +0
//! ```
//!
//! `p` and its derivatives are `zinb_zero`/`zinb_count` (with [`NO_INFLATION`]: `nb_zero`/`nb_count`)
//! of `math`; `theta = exp(r)`. An entry that is not 0 (NaN too) takes the count formula.
//!
//! Geometry: x = rows. Agreement: bits. Cost per entry: 8 bytes read (12 with dense counts) and 12
//! written; about 140 operations for a zero, 260 for a count, and 110 for each gene and segment.

use super::{Access::*, Kernel};
use bytemuck::{Pod, Zeroable};

/// Params [`ZinbParams`]; buffers `x`, `m`, `r`, `segment`, `h`, `ll`.
pub static VALUE: Kernel = Kernel { name: "zinb_value", bindings: &[Read, Read, Read, Read, Read, Write] };
/// Params [`ZinbParams`]; buffers `x`, `m`, `r`, `segment`, `h`, `weight`, `ll`, `dm`, `dr`, `dh`.
pub static VALUE_GRAD: Kernel =
    Kernel { name: "zinb_value_grad", bindings: &[Read, Read, Read, Read, Read, Read, Write, Write, Write, Write] };
/// [`VALUE`] of sparse counts; params [`ZinbParams`]; buffers `indptr` (cells + 1, u32), `indices`
/// (u32, each at most once per row), `values`, `m`, `r`, `segment`, `h`, `ll`.
pub static CSR_VALUE: Kernel =
    Kernel { name: "zinb_csr_value", bindings: &[Read, Read, Read, Read, Read, Read, Read, Write] };
/// [`VALUE_GRAD`] of sparse counts; params [`ZinbParams`]; buffers `indptr`, `indices`, `values`, `m`,
/// `r`, `segment`, `h`, `weight`, `ll`, `dm`, `dr`, `dh`.
pub static CSR_VALUE_GRAD: Kernel = Kernel {
    name: "zinb_csr_value_grad",
    bindings: &[Read, Read, Read, Read, Read, Read, Read, Read, Write, Write, Write, Write],
};

/// Bit of `flags`: negative binomial; `h` is not read and `dh` not written.
pub const NO_INFLATION: u32 = 1;
/// Bit of `flags`: one segment; `segment` is not read.
pub const ONE_SEGMENT: u32 = 2;
/// Bit of `flags`: `dr` holds sums over blocks of [`BLOCK`] rows, `[ceil(rows / 64), segments, genes]`,
/// instead of `[rows, genes]`.
pub const R_BLOCKS: u32 = 4;

/// Bit of `flags`: gradients only; `ll` is not written.
pub const NO_VALUE: u32 = 8;

/// Rows of one block of `dr`.
pub const BLOCK: usize = 64;

/// Parameters of every launch of the family.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct ZinbParams {
    /// Rows of m.
    pub rows: u32,
    /// Columns of m.
    pub genes: u32,
    /// Rows of r.
    pub segments: u32,
    /// Rows per cell, at least 1.
    pub repeat: u32,
    /// Bits of [`NO_INFLATION`], [`ONE_SEGMENT`] and [`R_BLOCKS`].
    pub flags: u32,
    /// First word of a dense `x`; a sparse one starts at 0.
    pub x_at: u32,
    /// First word of m.
    pub m_at: u32,
    /// First word of r.
    pub r_at: u32,
    /// First word of the segments.
    pub segment_at: u32,
    /// First word of h.
    pub h_at: u32,
    /// First word of the weights.
    pub weight_at: u32,
}
