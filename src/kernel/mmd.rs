//! Sums over pairs of points of a kernel function, with gradients, without storing the matrix of
//! pairs: maximum mean discrepancy (Gretton et al. 2012, JMLR 13:723) and kernel products.
//!
//! Entries: `rows` (the kernel matrix itself, for a block of rows), `apply` (its product with a thin
//! matrix), `apply_grad` (the product, and the gradient of a weighted sum), `apply_both` (`apply_grad`
//! for the points of either side, in one pass over the pairs). Points `x_i` (m of them) and `y_j` (n),
//! d coordinates each, row-major; `gamma` lists up to [`MAX_GAMMAS`] scales, on the device, so that a
//! bandwidth computed there need not come back. Per pair:
//!
//! | kind | s | K | h | a | b_t |
//! |---|---|---|---|---|---|
//! | `Linear` | `dot(x, y)` | `s` | 1 | 1 | `y_t` |
//! | `Cubic` | `dot(x, y)` | `(q q) q`, `q = fma(s, scale, shift)` | `q q` | `3 scale` | `y_t` |
//! | `Gaussian` | square | sum of `E` | sum of `g E` (one gamma: `E`) | -2 (one gamma: `-2 g`) | `e` |
//! | `Laplacian` | city | sum of `E` | sum of `g E` (one gamma: `E`) | -1 (one gamma: `-g`) | sign of e (0 for 0 and NaN) |
//! | `Distance` | square | `s` | 1 | 2 | `e` |
//! | `GaussianScale` | square | `-` sum of `q E` | sum of `(q - 1) (g E)` | 2 | `e` |
//!
//! with `e = x_t - y_t`, `q = g s`, `E = exp(-q)` for each g of `gamma`, sums taken in the order of
//! the list, the first term as it is. `dK/dx_t = a h b_t`. `GaussianScale` is the derivative of
//! `Gaussian` with respect to the logarithm of a common factor of all gammas. With [`EXCLUDE_SELF`],
//! K = h = +0 for the pair `first + i = j`.
//!
//! `dot` is a product of `gemm`: t in chunks of 256, each a chain of `fma(x_t, y_t, s)` from +0, the
//! totals added in order, the first as it is. City distance: `s + abs e`, t ascending from +0.
//! Square distance: below [`EXPANDED`] coordinates the chain `fma(e, e, s)`, t ascending from +0; else
//!
//! ```text
//! x'_t = x_t - centre_t, y'_t = y_t - centre_t
//! N    = dot(x', x') + dot(y', y')
//! s    = fma(-2, dot(x', y'), N)        unless !(s > NEAR N), a near pair: then the chain of fma(e, e, s),
//!                                       and h = +0 where that is 0
//! ```
//!
//! so that no pair loses more than five bits to the subtraction, whatever the centre; one amid the
//! points, such as their mean, makes near pairs rare. The two forms need one and two operations per
//! coordinate. An expanded gradient (below) is as if each point had moved by an ulp or so of its
//! distance from the centre.
//!
//! ```text
//! rows:        out[i][j]  = K_ij
//! apply:       out[i][k]  = sum over j of K_ij v[j][k]                   in lanes: fma(K, v, lane)
//! apply_grad:  out as apply, and with w_ij = u[i][0] v[j][0], then fma(u[i][k], v[j][k], w), and f = w h,
//!              grad[i][t] = a (sum over j of f_ij b_t)                   a chain:  fma(f, b_t, sum)
//!              of expanded squares:
//!              grad[i][t] = a fma(x'_t, H, -G), H = sum over j of f_ij   in lanes: lane + f
//!                                               G = sum over j of f_ij y'_t   a chain: fma(f, y'_t, sum)
//! apply_both:  out, grad as apply_grad; out_y, grad_y as apply_grad with x and y, u and v exchanged
//!              (the same pairs being left out)
//! ```
//!
//! So `grad` is the gradient of `S = sum_ij w_ij K_ij` with respect to x and `grad_y` that with
//! respect to y; add both when x and y are the same points. With [`UNIT`], p = 1 and every u and v
//! is 1 (`w = 1`, buffers not read).
//!
//! Geometry: x = m. Summation order over j: chunks of 256, their totals added in order, the first as
//! it is (no j: +0). Within a chunk either one chain from +0 in ascending j, or [`LANES`] lanes, lane l
//! a chain from +0 over the j with j mod 16 = l, combined by halving (lane l += lane l + s for s = 8, 4,
//! 2, 1). Agreement: bits. A pair is worth the same bits seen from either side.
//! Cost per pair of expanded squares: d fused multiply-adds, another d for each side's gradient, and an
//! exponential per gamma.

use super::{Access::*, Kernel};
use bytemuck::{Pod, Zeroable};

/// Params [`MmdParams`]; buffers `x`, `y`, `gamma`, `centre` `[d]`, `out` `[m, n]`. In all entries
/// `centre` is read for expanded squares only; else bind any buffer.
pub static ROWS: Kernel = Kernel { name: "mmd_rows", bindings: &[Read, Read, Read, Read, Write] };
/// Params [`MmdParams`]; buffers `x`, `y`, `gamma`, `centre`, `v` `[n, p]`, `out` `[m, p]`.
pub static APPLY: Kernel = Kernel { name: "mmd_apply", bindings: &[Read, Read, Read, Read, Read, Write] };
/// Params [`MmdParams`]; buffers `x`, `y`, `gamma`, `centre`, `u` `[m, p]`, `v` `[n, p]`, `out` `[m, p]`,
/// `grad` `[m, d]`.
pub static APPLY_GRAD: Kernel =
    Kernel { name: "mmd_apply_grad", bindings: &[Read, Read, Read, Read, Read, Read, Write, Write] };
/// Params [`MmdParams`]; buffers `x`, `y`, `gamma`, `centre`, `u` `[m, p]`, `v` `[n, p]`, `out` `[m, p]`,
/// `grad` `[m, d]`, `out_y` `[n, p]`, `grad_y` `[n, d]`.
pub static APPLY_BOTH: Kernel =
    Kernel { name: "mmd_apply_both", bindings: &[Read, Read, Read, Read, Read, Read, Write, Write, Write, Write] };

/// Bit of `flags`: leave out the pair of a point with itself.
pub const EXCLUDE_SELF: u32 = 1;
/// Bit of `flags`: u and v are all ones, one column.
pub const UNIT: u32 = 2;

/// Most gammas of a launch.
pub const MAX_GAMMAS: usize = 8;
/// Most columns of u and v.
pub const MAX_COLUMNS: usize = 4;
/// Length of a chunk of j.
pub const CHUNK: usize = 256;
/// Lanes of a sum over a chunk.
pub const LANES: usize = 16;
/// Least number of coordinates for which square distances are expanded.
pub const EXPANDED: usize = 16;
/// Share of `|x'|^2 + |y'|^2` up to which a square distance is computed from differences.
pub const NEAR: f32 = 1.0 / 32.0;

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

    /// Whether s is a square distance.
    pub fn is_square(self) -> bool {
        matches!(self, Kind::Gaussian | Kind::Distance | Kind::GaussianScale)
    }

    /// Whether s and the gradient are computed in expanded form, about a centre.
    pub fn is_expanded(self, d: usize) -> bool {
        self.is_square() && d >= EXPANDED
    }

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
    /// First word of the centre.
    pub centre_at: u32,
    /// First word of u.
    pub u_at: u32,
    /// First word of v.
    pub v_at: u32,
    /// Factor of the product, of `Cubic`.
    pub scale: f32,
    /// Added to it, of `Cubic`.
    pub shift: f32,
}
