//! Configuration of the energy-based models; names and defaults of the CLAMS specification.

use super::clip::Clip;
use super::hdge::HdgeConfig;
use super::vera::VeraConfig;
use crate::error::{Error, Result};
use crate::nn::{Act, OptimizerConfig};
use serde::{Deserialize, Serialize};

/// Shape of the residual network: `Linear, Res.., Linear, Res.., Linear`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NetConfig {
    /// Units of each stage.
    pub widths: Vec<usize>,
    /// Residual blocks of each stage.
    pub blocks: Vec<usize>,
    /// Activation of the blocks.
    pub act: Act,
    /// Batch normalisation in the blocks.
    pub norm: bool,
    /// Dropout rate in the blocks.
    pub dropout: f32,
}

impl Default for NetConfig {
    /// The paper's development code: 800-200, 2 and 4 blocks, ELU.
    fn default() -> Self {
        NetConfig { widths: vec![800, 200], blocks: vec![2, 4], act: Act::Elu, norm: false, dropout: 0.0 }
    }
}

/// Adam and its schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OptimConfig {
    /// Initial learning rate.
    pub lr: f64,
    /// Decay rates of the moments.
    pub betas: (f64, f64),
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Coupled L2.
    pub weight_decay: f64,
    /// Cells per step.
    pub batch: usize,
    /// Passes over the training cells.
    pub epochs: usize,
    /// Epochs at which the rate is multiplied by `decay`.
    pub decay_epochs: Vec<usize>,
    /// See `decay_epochs`.
    pub decay: f64,
    /// Iterations over which the rate rises from 0.
    pub warmup: usize,
}

impl Default for OptimConfig {
    fn default() -> Self {
        OptimConfig {
            lr: 1e-4,
            betas: (0.9, 0.999),
            eps: 1e-8,
            weight_decay: 0.0,
            batch: 64,
            epochs: 20,
            decay_epochs: vec![6, 15],
            decay: 0.3,
            warmup: 0,
        }
    }
}

impl OptimConfig {
    /// The rule of a step.
    pub fn adam(&self) -> OptimizerConfig {
        OptimizerConfig::Adam { betas: self.betas, eps: self.eps, weight_decay: self.weight_decay, amsgrad: false }
    }
}

/// The Langevin sampler and its buffer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SgldConfig {
    /// Steps of a chain.
    pub steps: usize,
    /// Step size.
    pub alpha: f32,
    /// Noise standard deviation.
    pub sigma: f32,
    /// Slots of the replay buffer.
    pub buffer: usize,
    /// Probability that a chain starts afresh.
    pub reinit: f32,
    /// Fresh chains are uniform in `±p0` in every feature.
    pub p0: f32,
    /// Chains of a class follow its logit; the buffer has a segment per class.
    pub conditional: bool,
    /// Equal segments (else by training frequency).
    pub balanced: bool,
    /// Largest absolute gradient entry.
    pub grad_clamp: Option<f32>,
    /// Box that chains stay in.
    pub range: Option<(f32, f32)>,
}

impl Default for SgldConfig {
    fn default() -> Self {
        SgldConfig {
            steps: 20,
            alpha: 1.0,
            sigma: 0.01,
            buffer: 10_000,
            reinit: 0.05,
            p0: 1.0,
            conditional: false,
            balanced: true,
            grad_clamp: None,
            range: None,
        }
    }
}

/// The objective `w_y CE + w_x g(L)`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LossConfig {
    /// Weight of the cross-entropy.
    pub w_y: f32,
    /// Weight of the generative loss.
    pub w_x: f32,
    /// Clipping function of the generative loss.
    pub clip: Clip,
    /// Probability that the generative loss is back-propagated in an iteration.
    pub p_on: f64,
    /// Divide by `p_on` where it is, as dropout does.
    pub sr_rescale: bool,
    /// The generative loss counts only while the raw L is above; `None` disables the test.
    pub threshold: Option<f32>,
    /// One batch serves as real and labelled.
    pub shared_batch: bool,
    /// Standard deviation of noise on real cells.
    pub input_noise: f32,
    /// Run the sampler also in iterations whose gate is closed.
    pub sample_when_off: bool,
}

impl Default for LossConfig {
    fn default() -> Self {
        LossConfig {
            w_y: 1.0,
            w_x: 1.0,
            clip: Clip::Elu,
            p_on: 0.25,
            sr_rescale: false,
            threshold: None,
            shared_batch: false,
            input_noise: 0.0,
            sample_when_off: true,
        }
    }
}

/// When a run counts as diverged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DivergenceConfig {
    /// `!(|loss| <= limit)` is divergence.
    pub limit: f64,
    /// `|L| > warn` is noted as unstable.
    pub warn: f64,
    /// How often a diverged run may go back and change course.
    #[serde(default)]
    pub max_restarts: usize,
}

impl Default for DivergenceConfig {
    fn default() -> Self {
        DivergenceConfig { limit: 1e8, warn: 1e3, max_restarts: 0 }
    }
}

/// Everything that defines the training of one model, but for data and seed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EbmConfig {
    /// The network.
    pub net: NetConfig,
    /// The optimiser.
    pub optim: OptimConfig,
    /// The sampler.
    pub sgld: SgldConfig,
    /// The objective.
    pub loss: LossConfig,
    /// Divergence.
    pub divergence: DivergenceConfig,
    /// The network models the difference to a Gaussian mixture, and cells are read by both ([`super::base`]).
    #[serde(default)]
    pub base: bool,
    /// A contrastive term beside the cross-entropy ([`super::hdge`]).
    #[serde(default)]
    pub hdge: Option<HdgeConfig>,
    /// A generator in place of the sampler ([`super::vera`]); `optim` is then the energy's.
    #[serde(default)]
    pub vera: Option<VeraConfig>,
}

impl EbmConfig {
    /// Checks every value once; the rest of the module assumes they hold.
    ///
    /// # Errors
    /// `Error::Usage` naming the value.
    pub fn check(&self) -> Result<()> {
        let rules = [
            (
                !self.net.widths.is_empty()
                    && self.net.widths.len() == self.net.blocks.len()
                    && self.net.widths.iter().all(|&w| w > 0),
                "net: widths and blocks must be lists of the same length, widths above 0",
            ),
            ((0.0..1.0).contains(&self.net.dropout), "net: dropout must be in [0, 1)"),
            (self.optim.lr > 0.0 && self.optim.lr.is_finite(), "optim: the learning rate must be above 0"),
            (self.optim.batch > 0, "optim: batch must be at least 1"),
            (self.optim.epochs > 0, "optim: epochs must be at least 1"),
            (self.optim.weight_decay >= 0.0, "optim: weight decay must not be negative"),
            (
                self.sgld.alpha.is_finite() && self.sgld.sigma >= 0.0,
                "sgld: alpha must be finite and sigma not negative",
            ),
            (self.sgld.buffer > 0, "sgld: the buffer needs at least one slot"),
            ((0.0..=1.0).contains(&self.sgld.reinit), "sgld: reinit is a probability"),
            ((0.0..=1.0).contains(&self.loss.p_on), "loss: p_on is a probability"),
            (self.loss.input_noise >= 0.0, "loss: input noise must not be negative"),
            (
                self.vera.as_ref().is_none_or(VeraConfig::fine),
                "vera: sizes, rates, eta and sigma must be above 0, weights not negative",
            ),
            (self.vera.is_none() || self.hdge.is_none(), "vera and hdge exclude each other"),
        ];
        match rules.iter().find(|(fine, _)| !fine) {
            Some((_, what)) => Err(Error::usage(*what, "correct the configuration")),
            None => Ok(()),
        }
    }
}
