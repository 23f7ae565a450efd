//! The training loop of all models (CLAMS specification, sections 3 to 5); what an iteration does is
//! its `Objective`.
//!
//! A [`Trainer`] is a state machine over iterations: everything it holds can be saved and put back,
//! and every random draw is keyed by the iteration, so that a resumed run has the bits of one that
//! never stopped. Iterations are launched in bursts, after which the host waits once and reads what
//! they have to say: a device is never idle because somebody looks at a loss.

use super::base::Base;
use super::burst::{BURST, Burst};
use super::cells::Cells;
use super::config::EbmConfig;
use super::evaluate;
use super::log::{Divergence, EpochLog, StepLog, judge};
use super::network::Network;
use super::objective::{Batch, Learner, Objective};
use super::restart::{self, Beginning};
use super::sample::Sampler;
use crate::data::batches::BatchStream;
use crate::device::Device;
use crate::error::Result;
use crate::nn::Optimizer;
use crate::rng::{Stream, stream};
use crate::tensor::Tensor;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

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

/// The best epoch: its network, and what cells can be drawn from.
#[derive(Clone, Debug)]
pub struct Best {
    /// Its validation figures.
    pub log: EpochLog,
    /// `Network::export`.
    pub network: Vec<Named>,
    /// [`Trainer::generative`].
    pub generative: Vec<Named>,
}

/// One run.
pub struct Trainer {
    pub(super) select: Select,
    pub(super) beginning: Beginning,
    pub(super) learner: Learner,
    pub(super) objective: Box<dyn Objective>,
    pub(super) stream_x: BatchStream,
    pub(super) stream_lab: BatchStream,
    pub(super) t: u64,
    pub(super) epoch: usize,
    pub(super) best: Option<Best>,
    pub(super) divergence: Divergence,
    pub(super) on_iterations: u64,
    /// Signs of a collapse that nobody has asked for yet.
    warnings: Vec<String>,
    /// All that there were.
    warned: BTreeSet<String>,
    burst: Burst,
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
        let optimizer = Optimizer::new(config.optim.adam(), network.params().numel(), device)?;
        let mut class_counts = vec![0usize; classes];
        for &label in &train.y {
            class_counts[label as usize] += 1;
        }
        let x = Tensor::from_slice(&train.x, &[n, train.features], device)?;
        let y = Tensor::from_u32(&train.y, &[n], device)?;
        let learner = Learner { config: config.clone(), seed, network, optimizer, x, y };
        let objective = restart::objective(&learner, &class_counts)?;
        let burst = Burst::new(stream_x.batch_size(), device)?;
        let mut trainer = Trainer {
            select,
            beginning: Beginning { config, seed, class_counts, remembered: None },
            learner,
            objective,
            stream_x,
            stream_lab,
            t: 0,
            epoch: 0,
            best: None,
            divergence: Divergence::default(),
            on_iterations: 0,
            warnings: Vec::new(),
            warned: BTreeSet::new(),
            burst,
            train,
            valid,
        };
        trainer.remember()?;
        Ok(trainer)
    }

    /// Iterations of an epoch.
    pub fn iterations_per_epoch(&self) -> usize {
        self.stream_x.batches_per_epoch()
    }

    /// Cells of a batch.
    pub fn batch_size(&self) -> usize {
        self.stream_x.batch_size()
    }

    /// Iterations done.
    pub fn iteration(&self) -> u64 {
        self.t
    }

    /// The network as it stands.
    pub fn network(&self) -> &Network {
        &self.learner.network
    }

    /// The network alone.
    pub fn into_network(self) -> Network {
        self.learner.network
    }

    /// The sampler, if the run has one.
    pub fn sampler(&self) -> Option<&Sampler> {
        self.objective.sampler()
    }

    /// What cells can be drawn from: the replay buffer or the generator, if the run has one.
    pub fn generative(&self) -> Result<Vec<Named>> {
        self.objective.generative()
    }

    /// Signs of a collapse since the last call, in words.
    pub fn take_warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
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
        self.epoch >= self.learner.config.optim.epochs || self.divergence.at.is_some()
    }

    /// The learning rate of the next iteration as a share of the initial one.
    fn pace(&self) -> f64 {
        let optim = &self.learner.config.optim;
        let passed = optim.decay_epochs.iter().filter(|&&e| e <= self.epoch).count();
        let pace = optim.decay.powi(passed as i32);
        // Warm-up: t/W for t <= W, t from 0, or as VERA has it from 1.
        let t = self.t as usize + usize::from(self.learner.config.vera.is_some());
        if t < optim.warmup { pace * t as f64 / optim.warmup as f64 } else { pace }
    }

    /// The learning rate of the next iteration.
    pub fn learning_rate(&self) -> f64 {
        self.learner.config.optim.lr * self.pace()
    }

    /// One iteration: a burst of one.
    ///
    /// # Errors
    /// As [`Trainer::steps`].
    pub fn step(&mut self) -> Result<StepLog> {
        let logs = self.steps(self.t + 1, &|| false)?;
        Ok(logs.into_iter().next().unwrap_or_default())
    }

    /// The iterations up to number `until`, to the end of the epoch or to the next multiple of [`BURST`],
    /// whichever is first; no more are begun once `stop` says so. The host waits once, after the last.
    ///
    /// What comes after an iteration that diverged is as if it had not been, but for the state: the
    /// network is that of the burst's beginning. If the run may restart, [`Trainer::iteration`] is that
    /// of the last whole epoch's end.
    ///
    /// # Errors
    /// Device errors. Divergence is not an error: see [`Trainer::divergence`].
    pub fn steps(&mut self, until: u64, stop: &dyn Fn() -> bool) -> Result<Vec<StepLog>> {
        let end = (self.t / BURST + 1) * BURST;
        let epoch = ((self.epoch + 1) * self.iterations_per_epoch()) as u64;
        let until = until.min(end).min(epoch.max(self.t + 1));
        let before = self.learner.network.params().arena().copy()?;
        while self.t < until && (self.burst.is_empty() || !stop()) {
            let mut log = StepLog { t: self.t, epoch: self.epoch, lr: self.learning_rate(), ..StepLog::default() };
            let real = self.stream_x.next_batch().to_vec();
            let labelled = match self.learner.config.loss.shared_batch {
                true => real.clone(),
                false => self.stream_lab.next_batch().to_vec(),
            };
            let batch = Batch { t: self.t as u32, pace: self.pace(), real, labelled };
            let figures = self.objective.launch(&mut self.learner, &batch, &mut log)?;
            self.burst.push(log, batch, &figures)?;
            self.t += 1;
        }
        let mut logs = Vec::new();
        for (mut log, batch, figures) in self.burst.take()? {
            self.objective.tell(&self.learner, &batch, &figures, &mut log);
            self.on_iterations += u64::from(log.gate);
            self.divergence.note(&log, judge(&log, &self.learner.config));
            let t = log.t + 1;
            logs.push(log);
            if self.divergence.at.is_some() {
                self.t = t;
                self.learner.network.params().arena().assign(&before)?;
                break;
            }
        }
        self.restart()?;
        Ok(logs)
    }

    /// Ends an epoch: validation, and the best so far.
    pub fn end_epoch(&mut self) -> Result<EpochLog> {
        let Learner { network, x, .. } = &self.learner;
        let train = evaluate::logits(network, &self.train.x, x.device())?;
        let valid = evaluate::logits(network, &self.valid.x, x.device())?;
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
            self.best = Some(Best { log, network: network.export()?, generative: self.objective.generative()? });
        }
        for sign in self.objective.end_epoch() {
            if self.warned.insert(sign.clone()) {
                self.warnings.push(sign);
            }
        }
        self.epoch += 1;
        self.remember()?;
        Ok(log)
    }

    /// Whether the iterations of the running epoch are done.
    pub fn epoch_is_full(&self) -> bool {
        self.t as usize >= (self.epoch + 1) * self.iterations_per_epoch()
    }

    /// Puts the best epoch's network (and what cells are drawn from) in place; a run that diverged in its
    /// first epoch has none.
    pub fn restore_best(&mut self) -> Result<bool> {
        let Some(best) = &self.best else { return Ok(false) };
        self.learner.network.import(&best.network)?;
        self.objective.set_generative(&best.generative)?;
        Ok(true)
    }
}
