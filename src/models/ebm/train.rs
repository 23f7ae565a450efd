//! The training loop of JEM, CLAMS and the plain classifier (CLAMS specification, sections 3 and 4).
//!
//! A [`Trainer`] is a state machine over iterations: everything it holds can be saved and put back,
//! and every random draw is keyed by the iteration, so that a resumed run has the bits of one that
//! never stopped.

use super::base::Base;
use super::cells::Cells;
use super::config::EbmConfig;
use super::evaluate;
use super::iteration::Recorded;
use super::log::{Divergence, EpochLog};
use super::network::Network;
use super::sample::Sampler;
use crate::data::batches::BatchStream;
use crate::device::Device;
use crate::error::Result;
use crate::nn::{Optimizer, OptimizerConfig};
use crate::rng::{Stream, stream};
use crate::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// Which epoch's parameters a run reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Select {
    /// The first with strictly highest validation accuracy (the paper).
    #[default]
    Accuracy,
    /// The first with strictly lowest validation cross-entropy.
    Loss,
    /// The last complete one: where validation cells are too few to tell epochs apart.
    Last,
}

/// A named array.
pub type Named = (String, Vec<usize>, Vec<f32>);

/// The best epoch: its network and buffer.
#[derive(Clone, Debug)]
pub struct Best {
    /// Its validation figures.
    pub log: EpochLog,
    /// `Network::export`.
    pub network: Vec<Named>,
    /// All slots of the replay buffer (empty without one).
    pub buffer: Vec<f32>,
}

/// One run.
pub struct Trainer {
    pub(super) config: EbmConfig,
    pub(super) select: Select,
    pub(super) seed: u64,
    pub(super) network: Network,
    pub(super) optimizer: Optimizer,
    pub(super) sampler: Option<Sampler>,
    pub(super) stream_x: BatchStream,
    pub(super) stream_lab: BatchStream,
    pub(super) t: u64,
    pub(super) epoch: usize,
    pub(super) best: Option<Best>,
    pub(super) divergence: Divergence,
    pub(super) on_iterations: u64,
    /// All training cells and their labels.
    pub(super) x: Tensor,
    pub(super) y: Tensor,
    pub(super) recorded: Recorded,
    train: Cells,
    valid: Cells,
}

impl Trainer {
    /// A run at its start. `classes` is the number of classes; labels are below it.
    ///
    /// # Errors
    /// `Error::Usage` for a bad configuration, `Error::Data` for no training cells.
    pub fn new(
        config: EbmConfig,
        select: Select,
        train: Cells,
        valid: Cells,
        classes: usize,
        seed: u64,
        device: &Device,
    ) -> Result<Trainer> {
        config.check()?;
        let n = train.len();
        let order = |id| BatchStream::new(n, config.optim.batch, Stream::new(seed, id));
        let (stream_x, stream_lab) = (order(stream::ORDER_X)?, order(stream::ORDER_LAB)?);
        let mut network = Network::new(&config.net, train.features, classes, seed, device)?;
        if config.base {
            network.set_base(Some(Base::fit(&train, classes, config.loss.input_noise, device)?));
        }
        let adam = OptimizerConfig::Adam {
            betas: config.optim.betas,
            eps: config.optim.eps,
            weight_decay: config.optim.weight_decay,
            amsgrad: false,
        };
        let optimizer = Optimizer::new(adam, network.params().numel(), device)?;
        let generative = config.loss.w_x > 0.0 && (config.loss.p_on > 0.0 || config.loss.sample_when_off);
        let mut counts = vec![0usize; classes];
        for &label in &train.y {
            counts[label as usize] += 1;
        }
        let sampler = match generative {
            true => Some(Sampler::new(&config.sgld, train.features, &counts, seed, device)?),
            false => None,
        };
        let x = Tensor::from_slice(&train.x, &[n, train.features], device)?;
        let y = Tensor::from_u32(&train.y, &[n], device)?;
        Ok(Trainer {
            config,
            select,
            seed,
            network,
            optimizer,
            sampler,
            stream_x,
            stream_lab,
            t: 0,
            epoch: 0,
            best: None,
            divergence: Divergence::default(),
            on_iterations: 0,
            x,
            y,
            recorded: Recorded::default(),
            train,
            valid,
        })
    }

    /// Iterations of an epoch.
    pub fn iterations_per_epoch(&self) -> usize {
        self.stream_x.batches_per_epoch()
    }

    /// Iterations done.
    pub fn iteration(&self) -> u64 {
        self.t
    }

    /// The network as it stands.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The network alone.
    pub fn into_network(self) -> Network {
        self.network
    }

    /// The sampler, if the run has one.
    pub fn sampler(&self) -> Option<&Sampler> {
        self.sampler.as_ref()
    }

    /// Divergence so far.
    pub fn divergence(&self) -> &Divergence {
        &self.divergence
    }

    /// The best epoch so far.
    pub fn best(&self) -> Option<&Best> {
        self.best.as_ref()
    }

    /// Iterations whose generative loss was back-propagated.
    pub fn on_iterations(&self) -> u64 {
        self.on_iterations
    }

    /// Whether the run is over.
    pub fn finished(&self) -> bool {
        self.epoch >= self.config.optim.epochs || self.divergence.at.is_some()
    }

    /// The learning rate of the next iteration.
    pub fn learning_rate(&self) -> f64 {
        let optim = &self.config.optim;
        let passed = optim.decay_epochs.iter().filter(|&&e| e <= self.epoch).count();
        let rate = optim.lr * optim.decay.powi(passed as i32);
        // Warm-up: lr t/W for t <= W, t from 0.
        if (self.t as usize) < optim.warmup { rate * self.t as f64 / optim.warmup as f64 } else { rate }
    }

    /// Ends an epoch: validation, and the best so far.
    pub fn end_epoch(&mut self) -> Result<EpochLog> {
        let device = self.x.device();
        let train = evaluate::logits(&self.network, &self.train.x, device)?;
        let valid = evaluate::logits(&self.network, &self.valid.x, device)?;
        let valid_figures = evaluate::figures(&valid, &self.valid.y);
        let mut log = EpochLog {
            epoch: self.epoch,
            train_accuracy: evaluate::figures(&train, &self.train.y).accuracy,
            valid_accuracy: valid_figures.accuracy,
            valid_ce: valid_figures.cross_entropy,
            valid_ece: valid_figures.ece,
            best: false,
        };
        log.best = match (&self.best, self.select) {
            (None, _) => true,
            (Some(best), Select::Accuracy) => log.valid_accuracy > best.log.valid_accuracy,
            (Some(best), Select::Loss) => log.valid_ce < best.log.valid_ce,
            (Some(_), Select::Last) => true,
        };
        if log.best {
            let buffer = self.sampler.as_ref().map(|s| s.buffer().slots().to_vec()).transpose()?;
            self.best = Some(Best { log, network: self.network.export()?, buffer: buffer.unwrap_or_default() });
        }
        self.epoch += 1;
        Ok(log)
    }

    /// Whether the iterations of the running epoch are done.
    pub fn epoch_is_full(&self) -> bool {
        self.t as usize >= (self.epoch + 1) * self.iterations_per_epoch()
    }

    /// Puts the best epoch's network (and buffer) in place; a run that diverged in its first epoch
    /// has none.
    pub fn restore_best(&mut self) -> Result<bool> {
        let Some(best) = &self.best else { return Ok(false) };
        self.network.import(&best.network)?;
        if let Some(sampler) = &self.sampler {
            sampler.buffer().load(&best.buffer)?;
        }
        Ok(true)
    }
}
