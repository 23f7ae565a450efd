//! Linear layers, residual blocks, dropout.

use super::norm::BatchNorm;
use super::sampler::{random, random_params};
use super::{Builder, Id, Init, Params};
use crate::error::Result;
use crate::kernel::random::MASK;
use crate::rng::Stream;
use crate::tensor::Tensor;
use crate::tensor::op::{Activation, Sparse};
use serde::{Deserialize, Serialize};
use std::cell::Cell;
use std::sync::Arc;

/// Activation between layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Act {
    /// `x > 0 ? x : e^x - 1`
    Elu,
    /// `max(x, 0)`
    Relu,
    /// slope 0.01 below 0
    LeakyRelu,
    /// hyperbolic tangent
    Tanh,
    /// `1/(1 + e^-x)`
    Sigmoid,
    /// `ln(1 + e^x)`
    Softplus,
}

impl Act {
    /// As the end of a product.
    pub fn fused(self) -> Activation {
        match self {
            Act::Elu => Activation::Elu(1.0),
            Act::Relu => Activation::Relu,
            Act::LeakyRelu => Activation::LeakyRelu(0.01),
            Act::Tanh => Activation::Tanh,
            Act::Sigmoid => Activation::Sigmoid,
            Act::Softplus => Activation::Softplus,
        }
    }

    /// On its own.
    pub fn apply(self, x: &Tensor) -> Result<Tensor> {
        match self {
            Act::Elu => x.elu(1.0),
            Act::Relu => x.relu(),
            Act::LeakyRelu => x.leaky_relu(0.01),
            Act::Tanh => x.tanh(),
            Act::Sigmoid => x.sigmoid(),
            Act::Softplus => x.softplus(),
        }
    }
}

/// How a forward pass is meant.
pub struct Mode {
    train: bool,
    /// Whether batch normalisation moves its running statistics.
    moves: bool,
    dropout: Stream,
    /// Tells the dropout masks of one pass apart.
    part: Cell<u32>,
}

impl Mode {
    /// Running statistics, no dropout.
    pub fn eval() -> Self {
        Mode { train: false, moves: false, dropout: Stream::new(0, 0), part: Cell::new(0) }
    }

    /// Batch statistics and dropout masks from `dropout` (its step is the iteration; passes of one
    /// iteration differ in `first_part`).
    pub fn train(dropout: Stream, first_part: u32) -> Self {
        Mode { train: true, moves: true, dropout, part: Cell::new(first_part) }
    }

    /// A training pass that leaves running statistics alone.
    pub fn aside(self) -> Self {
        Mode { moves: false, ..self }
    }

    /// Whether this is a training pass.
    pub fn is_train(&self) -> bool {
        self.train
    }

    /// Whether running statistics follow this pass.
    pub(super) fn moves_statistics(&self) -> bool {
        self.moves
    }
}

/// Sets entries to 0 with probability `p` in training and scales the rest by `1/(1-p)`.
#[derive(Clone, Copy, Debug)]
pub struct Dropout(pub f32);

impl Dropout {
    /// `x` itself outside training or for `p = 0`.
    pub fn forward(&self, x: &Tensor, mode: &Mode) -> Result<Tensor> {
        if !mode.train || self.0 <= 0.0 {
            return Ok(x.clone());
        }
        let part = mode.part.get();
        mode.part.set(part + 1);
        x.mul(&dropout_mask(x, self.0, mode.dropout.part(part))?)
    }
}

/// `1/(1-p)` where kept, else 0; the shape of `like`.
fn dropout_mask(like: &Tensor, p: f32, stream: Stream) -> Result<Tensor> {
    let params = random_params(stream, like.numel(), p, 0.0, 1.0 / (1.0 - p));
    random(&MASK, &params, like.shape(), like.device())
}

/// `act(x wᵀ + b)`, w `[n_out, n_in]`.
#[derive(Clone, Copy, Debug)]
pub struct Linear {
    w: Id,
    b: Id,
}

impl Linear {
    /// Weights and bias `U(±1/√n_in)`, named `NAME.weight`, `NAME.bias`.
    pub fn new(builder: &mut Builder, name: &str, n_in: usize, n_out: usize) -> Self {
        let init = Init::fan_in(n_in);
        Linear {
            w: builder.add(format!("{name}.weight"), &[n_out, n_in], init),
            b: builder.add(format!("{name}.bias"), &[n_out], init),
        }
    }

    /// x `[.., n_in] -> [.., n_out]`.
    pub fn forward(&self, p: &Params, x: &Tensor, act: Activation) -> Result<Tensor> {
        x.linear(p.get(self.w), p.get(self.b), act)
    }

    /// The weight.
    pub fn weight(&self) -> Id {
        self.w
    }

    /// The bias.
    pub fn bias(&self) -> Id {
        self.b
    }
}

/// A first layer on sparse cells: work and weight gradient only where counts are.
#[derive(Clone, Copy, Debug)]
pub struct SparseInput {
    w: Id,
    b: Id,
}

impl SparseInput {
    /// Like [`Linear::new`]; the weight lies `[n_in, n_out]`.
    pub fn new(builder: &mut Builder, name: &str, n_in: usize, n_out: usize) -> Self {
        let init = Init::fan_in(n_in);
        SparseInput {
            w: builder.add(format!("{name}.weight"), &[n_in, n_out], init),
            b: builder.add(format!("{name}.bias"), &[n_out], init),
        }
    }

    /// Sparse `[m, n_in] -> [m, n_out]`.
    pub fn forward(&self, p: &Params, x: &Arc<Sparse>, act: Activation) -> Result<Tensor> {
        Tensor::sparse_linear(x, p.get(self.w), p.get(self.b), act)
    }

    /// The same layer on dense cells.
    pub fn forward_dense(&self, p: &Params, x: &Tensor, act: Activation) -> Result<Tensor> {
        x.linear(&p.get(self.w).t()?, p.get(self.b), act)
    }
}

/// `act(x + Drop(BN?(W2 Drop(act(BN?(W1 x + b1))) + b2)))` (CLAMS spec, section 2).
pub struct ResBlock {
    first: Linear,
    second: Linear,
    norms: Option<(BatchNorm, BatchNorm)>,
    dropout: Dropout,
    act: Act,
}

impl ResBlock {
    /// A block of `width` units; batch normalisation if `norm`.
    pub fn new(builder: &mut Builder, name: &str, width: usize, act: Act, dropout: f32, norm: bool) -> Self {
        let first = Linear::new(builder, &format!("{name}.1"), width, width);
        let second = Linear::new(builder, &format!("{name}.2"), width, width);
        let norms = norm.then(|| {
            let one = BatchNorm::new(builder, &format!("{name}.norm1"), width, 1e-5, 0.1);
            (one, BatchNorm::new(builder, &format!("{name}.norm2"), width, 1e-5, 0.1))
        });
        ResBlock { first, second, norms, dropout: Dropout(dropout), act }
    }

    /// x `[rows, width]`, same shape out.
    pub fn forward(&self, p: &Params, x: &Tensor, mode: &Mode) -> Result<Tensor> {
        let plain = self.norms.is_none() && (!mode.train || self.dropout.0 <= 0.0);
        if plain {
            let h = self.first.forward(p, x, self.act.fused())?;
            return h.linear_residual(p.get(self.second.w), p.get(self.second.b), x, self.act.fused());
        }
        let mut h = match &self.norms {
            Some((norm, _)) => {
                self.act.apply(&norm.forward(p, &self.first.forward(p, x, Activation::None)?, mode)?)?
            }
            None => self.first.forward(p, x, self.act.fused())?,
        };
        h = self.second.forward(p, &self.dropout.forward(&h, mode)?, Activation::None)?;
        if let Some((_, norm)) = &self.norms {
            h = norm.forward(p, &h, mode)?;
        }
        self.act.apply(&x.add(&self.dropout.forward(&h, mode)?)?)
    }

    /// Its batch norms, for running statistics.
    pub fn norms(&self) -> impl Iterator<Item = &BatchNorm> {
        self.norms.iter().flat_map(|(a, b)| [a, b])
    }
}
