//! The seam between a run and its model: what an iteration minimises, and the state of that.

use super::config::EbmConfig;
use super::log::StepLog;
use super::network::Network;
use super::sample::Sampler;
use super::train::Named;
use crate::error::Result;
use crate::models::run::State;
use crate::nn::sampler::normal;
use crate::nn::{Mode, Optimizer};
use crate::rng::{Stream, stream};
use crate::tensor::Tensor;

/// What every objective works on: the network with its optimiser, and the training cells.
pub(super) struct Learner {
    pub config: EbmConfig,
    /// Of the random numbers of iterations.
    pub seed: u64,
    pub network: Network,
    pub optimizer: Optimizer,
    /// All training cells and their labels.
    pub x: Tensor,
    pub y: Tensor,
}

impl Learner {
    /// The parts of one iteration's dropout masks.
    pub fn mode(&self, pass: u32, step: u32) -> Mode {
        Mode::train(Stream::new(self.seed, stream::DROPOUT).at(step), pass << 16)
    }

    /// Real cells of a batch, with input noise if configured.
    pub fn cells(&self, idx: &Tensor, pass: u32, step: u32) -> Result<Tensor> {
        let x = self.x.index_select(idx)?;
        let std = self.config.loss.input_noise;
        if std <= 0.0 {
            return Ok(x);
        }
        let draws = Stream::new(self.seed, stream::AUGMENT).at(step).part(pass);
        x.add(&normal(draws, 0.0, std, x.shape(), self.x.device())?)
    }

    /// Labels of a batch.
    pub fn labels(&self, idx: &Tensor) -> Result<Tensor> {
        self.y.index_select(idx)
    }

    /// A batch's rows on the device.
    pub fn rows(&self, idx: &[u32]) -> Result<Tensor> {
        Tensor::from_u32(idx, &[idx.len()], self.x.device())
    }
}

/// What an iteration is given.
pub(super) struct Batch {
    /// Its number, from 0: the step of its random draws.
    pub t: u32,
    /// The learning rate as a share of the initial one.
    pub pace: f64,
    /// Rows of the generative term.
    pub real: Vec<u32>,
    /// Rows of the cross-entropy.
    pub labelled: Vec<u32>,
}

/// How a model learns. An objective owns what only it needs: samples, memories, other networks.
pub(super) trait Objective {
    /// Launches one iteration, losses and update, without waiting for it. Returns its figures for
    /// [`Objective::tell`], off the tape and valid until the next iteration; what the host knows
    /// already goes into `log`.
    fn launch(&mut self, learner: &mut Learner, batch: &Batch, log: &mut StepLog) -> Result<Tensor>;

    /// Reads the figures of an iteration into the log that [`Objective::launch`] began.
    fn tell(&mut self, learner: &Learner, batch: &Batch, figures: &[f32], log: &mut StepLog);

    /// What cells can be drawn from after training: a replay buffer, a generator. Kept of the best epoch
    /// and in the model file.
    fn generative(&self) -> Result<Vec<Named>>;

    /// Puts back what [`Objective::generative`] gave.
    fn set_generative(&mut self, named: &[Named]) -> Result<()>;

    /// Adds everything else that it takes to go on with the same bits.
    fn save(&self, state: &mut State) -> Result<()>;

    /// Puts back what [`Objective::save`] added.
    fn restore(&mut self, state: &State) -> Result<()>;

    /// The Langevin sampler, if the model has one.
    fn sampler(&self) -> Option<&Sampler> {
        None
    }

    /// Signs of a collapse in the epoch that ends, in words.
    fn end_epoch(&mut self) -> Vec<String> {
        Vec::new()
    }
}
