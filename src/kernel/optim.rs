//! Optimiser steps: one launch updates a flat range of all parameters and their state.
//!
//! Parameters, gradients and each kind of state lie in arenas of the same order, so a launch is a
//! range (`n` elements from a word of each arena); parameter groups are several launches. What
//! changes from step to step (learning rate, bias corrections) is read from the small f32 buffer
//! `step`, so that a recorded launch can be replayed with new values; what does not is in
//! [`OptimParams`]. Write w, g for an element and its gradient, `s[k]` for `step[step_at + k]`. All
//! entries but `ema` start with `g' = fma(l2, w, g)`, the coupled weight decay.
//!
//! | entry | state | rule |
//! |---|---|---|
//! | `sgd` | | `w = fma(-s0, g', w)` |
//! | `momentum` | b | `b = fma(s1, b, s2 g')`; `u = b`, or with [`NESTEROV`] `fma(beta1, b, g')`; `w = fma(-s0, u, w)` |
//! | `adam` | m, v | `m = fma(beta1, m, rest1 g')`; `v = fma(beta2, v, rest2 (g' g'))`; `d = fma(sqrt v, s3, s4)`; `u = fma(s1, m, s2 g')`; `w = fma(-(s0 decay), w, w) - u / d` |
//! | `amsgrad` | m, v, top | as `adam`, with `top = max(top, v)` under the root |
//! | `adadelta` | q, a | `q = fma(beta1, q, rest1 (g' g'))`; `u = (sqrt(a + eps) / sqrt(q + eps)) g'`; `a = fma(beta1, a, rest1 (u u))`; `w = fma(-s0, u, w)` |
//! | `rmsprop` | q | `q = fma(beta1, q, rest1 (g' g'))`; `w = fma(-s0, g' / (sqrt q + eps), w)` |
//! | `adagrad` | q | `q = fma(g', g', q)`; `w = fma(-s0, g' / (sqrt q + eps), w)` |
//! | `adamax` | m, u | `m` as `adam`; `u = max(beta2 u, abs g' + eps)`; `w = fma(-s0, m / u, w)` |
//! | `ema` | | `w = fma(s0, g - w, w)`: w is the average, g the parameters |
//!
//! `max(a, b) = b > a or b is NaN ? b : a`. The values of `step` that make `adam` a named optimiser,
//! for step t = 1, 2, ..., `c1 = 1 - beta1^t`, `c2 = 1 - beta2^t` (compute them in binary64):
//!
//! | optimiser | s0 | s1 | s2 | s3 | s4 |
//! |---|---|---|---|---|---|
//! | Adam (l2), AdamW (decay) | lr | lr / c1 | 0 | 1 / sqrt c2 | eps |
//! | NAdam, `M_t` the product of mu_1..mu_t | lr | `lr mu_{t+1} / (1 - M_{t+1})` | `lr (1 - mu_t) / (1 - M_t)` | 1 / sqrt c2 | eps |
//! | RAdam, rectified by rho | lr | `lr rho sqrt(c2) / c1` | 0 | 1 | eps |
//! | RAdam, not rectified | lr | lr / c1 | 0 | 0 | 1 |
//!
//! `momentum` takes s = (lr, momentum, 1 - dampening), and (lr, 0, 1) at the first step; its `beta1`
//! is the momentum. `adamax` takes `lr / c1`, `adagrad` `lr / (1 + (t-1) lr_decay)`. State starts at 0.
//!
//! Geometry: x = n. Summation order: none. Agreement: bits. Cost: 4 bytes per gradient, 8 per
//! parameter and per state element.

use super::{Access::*, Kernel};
use bytemuck::{Pod, Zeroable};

/// Params [`OptimParams`]; buffers `g`, `step` (lr), `w`.
pub static SGD: Kernel = Kernel { name: "optim_sgd", bindings: &[Read, Read, Update] };
/// Params [`OptimParams`]; buffers `g`, `step` (lr, keep, take), `w`, `b`.
pub static MOMENTUM: Kernel = Kernel { name: "optim_momentum", bindings: &[Read, Read, Update, Update] };
/// Params [`OptimParams`]; buffers `g`, `step` (five values), `w`, `m`, `v`.
pub static ADAM: Kernel = Kernel { name: "optim_adam", bindings: &[Read, Read, Update, Update, Update] };
/// Params [`OptimParams`]; buffers `g`, `step` (five values), `w`, `m`, `v`, `top`.
pub static AMSGRAD: Kernel = Kernel { name: "optim_amsgrad", bindings: &[Read, Read, Update, Update, Update, Update] };
/// Params [`OptimParams`]; buffers `g`, `step` (lr), `w`, `q`, `a`.
pub static ADADELTA: Kernel = Kernel { name: "optim_adadelta", bindings: &[Read, Read, Update, Update, Update] };
/// Params [`OptimParams`]; buffers `g`, `step` (lr), `w`, `q`.
pub static RMSPROP: Kernel = Kernel { name: "optim_rmsprop", bindings: &[Read, Read, Update, Update] };
/// Params [`OptimParams`]; buffers `g`, `step` (decayed lr), `w`, `q`.
pub static ADAGRAD: Kernel = Kernel { name: "optim_adagrad", bindings: &[Read, Read, Update, Update] };
/// Params [`OptimParams`]; buffers `g`, `step` (lr / c1), `w`, `m`, `u`.
pub static ADAMAX: Kernel = Kernel { name: "optim_adamax", bindings: &[Read, Read, Update, Update, Update] };
/// Exponential moving average; params [`OptimParams`]; buffers the parameters, `step` (weight of the
/// new value: 1 - decay), the averages.
pub static EMA: Kernel = Kernel { name: "optim_ema", bindings: &[Read, Read, Update] };

/// Bit of `flags`.
pub const NESTEROV: u32 = 1;

/// Constants of a launch. Fields that an entry's rule does not name are ignored.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct OptimParams {
    /// Number of elements.
    pub n: u32,
    /// First word of the gradients.
    pub g_at: u32,
    /// First word of the parameters.
    pub w_at: u32,
    /// First word of each state array.
    pub state_at: u32,
    /// First word of the step's scalars.
    pub step_at: u32,
    /// [`NESTEROV`] or 0.
    pub flags: u32,
    /// Decay rate of the first average (`rho`, `alpha`, the momentum).
    pub beta1: f32,
    /// `1 - beta1`, rounded once.
    pub rest1: f32,
    /// Decay rate of the second moment.
    pub beta2: f32,
    /// `1 - beta2`, rounded once.
    pub rest2: f32,
    /// Added to the root of the second moment.
    pub eps: f32,
    /// Coupled weight decay.
    pub l2: f32,
    /// Decoupled weight decay (AdamW), multiplied by the learning rate.
    pub decay: f32,
}
