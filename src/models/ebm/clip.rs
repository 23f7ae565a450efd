//! The CLAMS interventions on the generative loss L (specification, section 4):
//! `g(L) = phi(L) 1[L > T] m`, `m ~ Bernoulli(p_on)`; gates are constants in the backward pass.

use crate::error::Result;
use crate::math;
use crate::rng::{Stream, stream};
use crate::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// The clipping function phi.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Clip {
    /// `L`
    None,
    /// `L > 0 ? L : e^L - 1`; bounded below by -1
    Elu,
    /// `max(L, 0)`
    Relu,
    /// `L > 0 ? L : 0.01 L`
    LeakyRelu,
}

impl Clip {
    /// `phi(l)`.
    pub fn value(self, l: f32) -> f32 {
        match self {
            Clip::None => l,
            Clip::Elu => math::elu(l, 1.0),
            Clip::Relu => math::relu(l),
            Clip::LeakyRelu => math::leaky_relu(l, 0.01),
        }
    }

    /// `phi'(l)`.
    pub fn slope(self, l: f32) -> f32 {
        match self {
            Clip::None => 1.0,
            _ if l > 0.0 => 1.0,
            Clip::Elu => math::exp(l),
            Clip::Relu => 0.0,
            Clip::LeakyRelu => 0.01,
        }
    }

    /// `phi(l)` on the tape.
    pub fn apply(self, l: &Tensor) -> Result<Tensor> {
        match self {
            Clip::None => Ok(l.clone()),
            Clip::Elu => l.elu(1.0),
            Clip::Relu => l.relu(),
            Clip::LeakyRelu => l.leaky_relu(0.01),
        }
    }
}

/// The stochastic gate of iteration `t`: open with probability `p_on` (stream `gate`).
pub fn gate(seed: u64, t: u32, p_on: f64) -> bool {
    p_on >= 1.0 || (p_on > 0.0 && f64::from(Stream::new(seed, stream::GATE).at(t).uniform(0)) < p_on)
}

/// The hard threshold on the *raw* loss; without one nothing is tested, so that a NaN is not gated
/// away silently.
pub fn passes(l: f32, threshold: Option<f32>) -> bool {
    threshold.is_none_or(|t| l > t)
}
