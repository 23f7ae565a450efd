//! One step of stochastic gradient Langevin dynamics, in place, one pass over memory.
//!
//! Entry: `step`. For element `i` of `n` (Welling & Teh 2011; Grathwohl et al. 2020, eq. 6):
//!
//! ```text
//! g' = g_max given ? clamp(g[i], -g_max, g_max) : g[i]
//! t  = fma(alpha, g', x[i])
//! t  = fma(sigma, eps, t)        eps = standard normal of (seed, stream, step + counter, part, i)
//! x[i] = box given ? clamp(t, low, high) : t
//! ```
//!
//! `clamp(v, a, b) = v < a ? a : (v > b ? b : v)`, so NaN stays. `g` is the gradient of the log
//! density; for the gradient of an energy give a negative `alpha`.
//!
//! Geometry: x = number of blocks of four elements. Summation order: none. Agreement: bits.
//! Cost: 12 bytes per element and a quarter of a Philox block with a Box-Muller transform.

use super::{Access::*, Kernel};
use bytemuck::{Pod, Zeroable};

/// Params [`SgldParams`]; buffers `g`, `counter` (one u32, added to `step`), `x`.
pub static STEP: Kernel = Kernel { name: "sgld_step", bindings: &[Read, Read, Update] };

/// Bit of `flags`: clamp the gradient to `±g_max`.
pub const CLAMP_GRADIENT: u32 = 1;
/// Bit of `flags`: clamp the result to `[low, high]`.
pub const CLAMP_BOX: u32 = 2;

/// Parameters of [`STEP`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct SgldParams {
    /// Low and high word of the run's seed.
    pub seed: [u32; 2],
    /// Which stream of the seed.
    pub stream: u32,
    /// Added (wrapping) to the counter.
    pub step: u32,
    /// Which part of the step.
    pub part: u32,
    /// Number of elements.
    pub n: u32,
    /// First word of g.
    pub g_offset: u32,
    /// First word of x.
    pub x_offset: u32,
    /// [`CLAMP_GRADIENT`] | [`CLAMP_BOX`].
    pub flags: u32,
    /// Factor of the gradient.
    pub alpha: f32,
    /// Standard deviation of the noise.
    pub sigma: f32,
    /// Largest absolute gradient entry, if clamped.
    pub g_max: f32,
    /// Lower side of the box, if there is one.
    pub low: f32,
    /// Upper side of the box, if there is one.
    pub high: f32,
}
