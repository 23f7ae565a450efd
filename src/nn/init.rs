//! First values of parameters, drawn from the stream `INIT`; a parameter's draws depend on its
//! place in the model and on the seed, on nothing else.

use crate::rng::{Stream, stream};

/// How a parameter starts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// All equal.
    Constant(f32),
    /// Uniform in `±bound`.
    Uniform(f32),
    /// Normal with this standard deviation.
    Normal(f32),
}

impl Init {
    /// `U(±1/√fan_in)`: PyTorch's default for linear layers, weights and biases.
    pub fn fan_in(fan_in: usize) -> Self {
        Init::Uniform(1.0 / (fan_in.max(1) as f32).sqrt())
    }

    /// `U(±√(6/(fan_in + fan_out)))` (Glorot & Bengio 2010).
    pub fn xavier(fan_in: usize, fan_out: usize) -> Self {
        Init::Uniform((6.0 / (fan_in + fan_out).max(1) as f32).sqrt())
    }

    /// `N(0, 2/fan_in)` (He et al. 2015).
    pub fn kaiming(fan_in: usize) -> Self {
        Init::Normal((2.0 / fan_in.max(1) as f32).sqrt())
    }

    /// `n` values for the parameter number `part` of a model.
    pub fn values(self, n: usize, seed: u64, part: u32) -> Vec<f32> {
        let draws = Stream::new(seed, stream::INIT).part(part);
        match self {
            Init::Constant(c) => vec![c; n],
            Init::Uniform(bound) => (0..n as u32).map(|i| (draws.uniform(i) * 2.0 - 1.0) * bound).collect(),
            Init::Normal(std) => (0..n as u32).map(|i| draws.normal(i) * std).collect(),
        }
    }
}
