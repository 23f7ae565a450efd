//! Sums over pairs of points of a kernel function, with gradients, without storing the matrix of
//! pairs: maximum mean discrepancy (Gretton et al. 2012, JMLR 13:723) and kernel products.
//!
//! Entries: `rows` (the kernel matrix itself, for a block of rows), `apply` (its product with a thin
//! matrix), `apply_grad` (the product, and the gradient of a weighted sum). Points `x_i` (m of them)
//! and `y_j` (n), d coordinates each, row-major; `gamma` lists up to [`MAX_GAMMAS`] scales, on the
//! device, so that a bandwidth computed there need not come back. Per pair, t ascending from +0:
//!
//! | kind | s | K | c | b_t |
//! |---|---|---|---|---|
//! | `Linear` | `fma(x_t, y_t, s)` | `s` | 1 | `y_t` |
//! | `Cubic` | `fma(x_t, y_t, s)` | `(q q) q`, `q = fma(s, scale, shift)` | `(3 scale) (q q)` | `y_t` |
//! | `Gaussian` | `fma(e, e, s)`, `e = x_t - y_t` | sum of `E` | `-2` sum of `g E` | `e` |
//! | `Laplacian` | `s + abs e` | sum of `E` | `-` sum of `g E` | sign of e (0 for 0 and NaN) |
//! | `Distance` | `fma(e, e, s)` | `s` | 2 | `e` |
//! | `GaussianScale` | `fma(e, e, s)` | `-` sum of `q E` | `2` sum of `(q - 1) (g E)` | `e` |
//!
//! with `q = g s`, `E = exp(-q)` for each g of `gamma`, sums taken in the order of the list, the first
//! term as it is. `dK/dx_t = c b_t`. `GaussianScale` is the derivative of `Gaussian` with respect to
//! the logarithm of a common factor of all gammas. With [`EXCLUDE_SELF`], K = c = +0 for the pair
//! `first + i = j`.
//!
//! ```text
//! rows:        out[i][j]  = K_ij
//! apply:       out[i][k]  = sum over j of K_ij v[j][k]                       chain: fma(K, v, sum)
//! apply_grad:  out as apply, and
//!              grad[i][t] = sum over j of (w_ij c_ij) b_t                    chain: fma(w c, b_t, sum)
//!              w_ij       = u[i][0] v[j][0], then fma(u[i][k], v[j][k], w)
//! ```
//!
//! So `grad` is the gradient of `S = sum_ij w_ij K_ij` with respect to x; exchange x and y (and u and
//! v) for y, and add both when x and y are the same points. With [`UNIT`], p = 1 and every u and v
//! is 1 (`w = 1`, buffers not read).
//!
//! Geometry: x = m. Summation order over j, as in `gemm`: chunks of 256, each one chain from +0 in
//! ascending j, their totals added in order, the first as it is (no j: +0). Agreement: bits.
//! Cost per pair: 2 d operations and an exponential per gamma; twice that with the gradient.

use super::{Access::*, Kernel};
use bytemuck::{Pod, Zeroable};

/// Params [`MmdParams`]; buffers `x`, `y`, `gamma`, `out` `[m, n]`.
pub static ROWS: Kernel = Kernel { name: "mmd_rows", bindings: &[Read, Read, Read, Write] };
/// Params [`MmdParams`]; buffers `x`, `y`, `gamma`, `v` `[n, p]`, `out` `[m, p]`.
pub static APPLY: Kernel = Kernel { name: "mmd_apply", bindings: &[Read, Read, Read, Read, Write] };
/// Params [`MmdParams`]; buffers `x`, `y`, `gamma`, `u` `[m, p]`, `v` `[n, p]`, `out` `[m, p]`, `grad` `[m, d]`.
pub static APPLY_GRAD: Kernel =
    Kernel { name: "mmd_apply_grad", bindings: &[Read, Read, Read, Read, Read, Write, Write] };

/// Bit of `flags`: leave out the pair of a point with itself.
pub const EXCLUDE_SELF: u32 = 1;
/// Bit of `flags`: u and v are all ones, one column.
pub const UNIT: u32 = 2;

/// Most gammas of a launch.
pub const MAX_GAMMAS: usize = 8;
/// Most columns of u and v.
pub const MAX_COLUMNS: usize = 4;
/// Length of a chain over j.
pub const CHUNK: usize = 256;

/// A kernel function of two points.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `a . b`
    Linear,
    /// `(scale (a . b) + shift)^3`
    Cubic,
    /// `sum over g of exp(-g |a - b|^2)`
    Gaussian,
    /// `sum over g of exp(-g |a - b|_1)`
    Laplacian,
    /// `|a - b|^2`
    Distance,
    /// `sum over g of -g |a - b|^2 exp(-g |a - b|^2)`
    GaussianScale,
}

impl Kind {
    /// In the order of their codes.
    pub const ALL: [Kind; 6] =
        [Kind::Linear, Kind::Cubic, Kind::Gaussian, Kind::Laplacian, Kind::Distance, Kind::GaussianScale];

    /// Back from a params word.
    pub fn from_code(code: u32) -> Option<Kind> {
        Self::ALL.get(code as usize).copied()
    }
}

/// Parameters of every launch of the family.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct MmdParams {
    /// A [`Kind`].
    pub kind: u32,
    /// Points x.
    pub m: u32,
    /// Points y.
    pub n: u32,
    /// Coordinates.
    pub d: u32,
    /// Columns of u and v, 1 to [`MAX_COLUMNS`].
    pub p: u32,
    /// Number of gammas, 1 to [`MAX_GAMMAS`] for the kinds that use them.
    pub gammas: u32,
    /// Bits of [`EXCLUDE_SELF`] and [`UNIT`].
    pub flags: u32,
    /// The index among the y of the point that row 0 of x is, for [`EXCLUDE_SELF`].
    pub first: u32,
    /// First word of x.
    pub x_at: u32,
    /// First word of y.
    pub y_at: u32,
    /// First word of gamma.
    pub gamma_at: u32,
    /// First word of u.
    pub u_at: u32,
    /// First word of v.
    pub v_at: u32,
    /// Factor of the product, of `Cubic`.
    pub scale: f32,
    /// Added to it, of `Cubic`.
    pub shift: f32,
}
