//! The training loop of JEM, CLAMS and the plain classifier (CLAMS specification, sections 3 and 4).
//!
//! A [`Trainer`] is a state machine over iterations: everything it holds can be saved and put back,
//! and every random draw is keyed by the iteration, so that a resumed run has the bits of one that
//! never stopped.

use super::base::Base;
use super::clip;
use super::config::EbmConfig;
use super::evaluate;
use super::network::Network;
use super::sample::Sampler;
use crate::data::batches::BatchStream;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::nn::sampler::normal;
use crate::nn::{Mode, Optimizer, OptimizerConfig, loss};
use crate::rng::{Stream, stream};
use crate::tensor::{Tensor, grad, no_grad};
use serde::{Deserialize, Serialize};

/// Cells as the network sees them.
#[derive(Clone, Debug)]
pub struct Cells {
    /// `[n, features]`, row-major.
    pub x: Vec<f32>,
    /// Class of each cell.
    pub y: Vec<u32>,
    /// Number of features.
    pub features: usize,
}

impl Cells {
    /// Number of cells.
    pub fn len(&self) -> usize {
        self.y.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.y.is_empty()
    }
}

/// What one iteration reports, a line of `log.jsonl`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StepLog {
    /// Iteration, from 0.
    pub t: u64,
    /// Epoch, from 0.
    pub epoch: usize,
    /// Learning rate.
    pub lr: f64,
    /// Cross-entropy of the labelled batch.
    pub ce: f32,
    /// Raw generative loss L, if the sampler ran.
    pub generative: Option<f32>,
    /// `g(L)` as it entered the loss (0 while a gate is closed).
    pub clipped: f32,
    /// Whether both gates were open.
    pub gate: bool,
    /// Factor of the generative gradient, `w_x g'(L)`.
    pub c: f32,
    /// The minimised loss.
    pub loss: f32,
    /// Mean and standard deviation of s over real cells.
    pub s_real: Option<(f32, f32)>,
    /// Mean and standard deviation of s over sampled cells.
    pub s_fake: Option<(f32, f32)>,
    /// Largest absolute feature of the sampled cells.
    pub max_fake: Option<f32>,
    /// Chains that started afresh.
    pub fresh: usize,
    /// Length of the gradient.
    pub grad_norm: Option<f32>,
}

/// When and how a run left the road.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Divergence {
    /// First iteration with `!(|loss| <= limit)`, or a non-finite L or sample.
    pub at: Option<u64>,
    /// First iteration with `!(|L| <= limit)` on the raw loss.
    pub strict_at: Option<u64>,
    /// First iteration with `|L| > warn`.
    pub unstable_at: Option<u64>,
    /// The values at divergence, in words (they may be NaN, which JSON has not).
    pub values: Option<String>,
}

/// Which epoch's parameters a run reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Select {
    /// The first with strictly highest validation accuracy (the paper).
    Accuracy,
    /// The first with strictly lowest validation cross-entropy.
    Loss,
    /// The last complete one: where validation cells are too few to tell epochs apart.
    Last,
}

/// Validation figures of an epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EpochLog {
    /// Epoch, from 0.
    pub epoch: usize,
    /// Accuracy on the training cells.
    pub train_accuracy: f64,
    /// Accuracy on the validation cells (NaN without any).
    #[serde(deserialize_with = "or_nan")]
    pub valid_accuracy: f64,
    /// Cross-entropy on the validation cells.
    #[serde(deserialize_with = "or_nan")]
    pub valid_ce: f64,
    /// Calibration error on the validation cells (20 equal-width bins).
    #[serde(deserialize_with = "or_nan")]
    pub valid_ece: f64,
    /// Whether this epoch is the best so far.
    pub best: bool,
}

/// JSON has no NaN; it is written as null.
fn or_nan<'de, D: serde::Deserializer<'de>>(from: D) -> std::result::Result<f64, D::Error> {
    Ok(Option::<f64>::deserialize(from)?.unwrap_or(f64::NAN))
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
    x: Tensor,
    y: Tensor,
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

    /// The parts of one iteration's dropout masks.
    fn mode(&self, pass: u32) -> Mode {
        Mode::train(Stream::new(self.seed, stream::DROPOUT).at(self.t as u32), pass << 16)
    }

    /// Real cells of a batch, with input noise if configured.
    fn cells(&self, idx: &[u32], pass: u32) -> Result<Tensor> {
        let device = self.x.device();
        let x = self.x.index_select(&Tensor::from_u32(idx, &[idx.len()], device)?)?;
        let std = self.config.loss.input_noise;
        if std <= 0.0 {
            return Ok(x);
        }
        let draws = Stream::new(self.seed, stream::AUGMENT).at(self.t as u32).part(pass);
        x.add(&normal(draws, 0.0, std, x.shape(), device)?)
    }

    /// One iteration. After divergence nothing more is trained. The host waits for the device twice:
    /// for the losses, which decide whether and on what to take the step, and for the logged length of
    /// the gradient, once the step is on its way.
    ///
    /// # Errors
    /// Device errors. Divergence is not an error: see [`Trainer::divergence`].
    pub fn step(&mut self) -> Result<StepLog> {
        let config = &self.config.loss;
        let lr = self.learning_rate();
        let mut log = StepLog { t: self.t, epoch: self.epoch, lr, ..StepLog::default() };
        let idx_x = self.stream_x.next_batch().to_vec();
        let idx_lab = if config.shared_batch { idx_x.clone() } else { self.stream_lab.next_batch().to_vec() };

        let open = clip::gate(self.seed, self.t as u32, config.p_on);
        let fake = match &mut self.sampler {
            Some(sampler) if open || config.sample_when_off => {
                let (x, fresh) = sampler.sample(&self.network, idx_x.len(), self.t as u32)?;
                log.fresh = fresh;
                Some(x)
            }
            _ => None,
        };

        let device = self.x.device().clone();
        let x_lab = self.cells(&idx_lab, 1)?;
        let y_lab = self.y.reshape(&[self.y.numel(), 1])?.index_select(&Tensor::from_u32(
            &idx_lab,
            &[idx_lab.len()],
            &device,
        )?)?;
        let y_lab = y_lab.reshape(&[idx_lab.len()])?;

        // L is logged also while the gate is closed; then it needs no tape.
        let generative = |x_fake: &Tensor| -> Result<(Tensor, Tensor, Tensor)> {
            let s_fake = self.network.score(x_fake, &self.mode(0))?;
            let s_real = self.network.score(&self.cells(&idx_x, 0)?, &self.mode(1))?;
            let l = s_fake.mean_all()?.sub(&s_real.mean_all()?)?;
            Ok((l, s_real, s_fake))
        };
        let generative = match &fake {
            Some(x) if open => Some(generative(x)?),
            Some(x) => Some(no_grad(|| generative(x))?),
            None => None,
        };
        let ce = loss::cross_entropy(&self.network.logits(&x_lab, &self.mode(2))?, &y_lab)?;
        // What the host decides by comes back in one download.
        let figures = match (&generative, &fake) {
            (Some((l, s_real, s_fake)), Some(x)) => {
                let largest = no_grad(|| x.abs()?.amax(&[0, 1], false))?;
                Tensor::to_vecs(&[&ce, l, &largest, s_real, s_fake])?
            }
            _ => Tensor::to_vecs(&[&ce])?,
        };
        log.ce = figures[0][0];
        let mut objective = ce.mul_scalar(config.w_y)?;
        log.loss = config.w_y * log.ce;
        if let Some((l, ..)) = &generative {
            let raw = figures[1][0];
            log.generative = Some(raw);
            log.max_fake = Some(figures[2][0]);
            log.s_real = Some(mean_std(&figures[3]));
            log.s_fake = Some(mean_std(&figures[4]));
            let rescale = if config.sr_rescale && config.p_on > 0.0 { (1.0 / config.p_on) as f32 } else { 1.0 };
            log.gate = open && clip::passes(raw, config.threshold);
            if log.gate {
                self.on_iterations += 1;
                log.clipped = config.clip.value(raw) * rescale;
                log.c = config.w_x * config.clip.slope(raw) * rescale;
                log.loss += config.w_x * log.clipped;
                // A factor of 0 skips the generative backward: 0 times infinity would be NaN.
                if log.c != 0.0 {
                    objective = objective.add(&config.clip.apply(l)?.mul_scalar(config.w_x * rescale)?)?;
                }
            }
        }
        if self.diverged(&log) {
            self.t += 1;
            return Ok(log);
        }
        let grads = grad(&[&objective], &self.network.params().all(), false)?;
        let flat = self.network.params().flatten(&grads)?;
        drop((grads, objective, generative, ce));
        let norm = no_grad(|| flat.square()?.sum_all()?.sqrt())?;
        self.optimizer.step(self.network.params(), &flat, lr)?;
        log.grad_norm = Some(norm.item()?);
        self.t += 1;
        Ok(log)
    }

    /// Records what the iteration says about divergence; true if the run has diverged.
    fn diverged(&mut self, log: &StepLog) -> bool {
        let found = judge(log, &self.config);
        let d = &mut self.divergence;
        if found.unstable {
            d.unstable_at.get_or_insert(log.t);
        }
        if found.strict {
            d.strict_at.get_or_insert(log.t);
        }
        if found.diverged && d.at.is_none() {
            d.at = Some(log.t);
            d.values = Some(format!(
                "loss {:e}, L {:e}, largest sampled feature {:e}",
                log.loss,
                log.generative.unwrap_or(0.0),
                log.max_fake.unwrap_or(0.0)
            ));
        }
        found.diverged
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

/// What an iteration's figures mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// `!(|loss| <= limit)`, or, where the generative term counts, a non-finite L or sample.
    pub diverged: bool,
    /// `!(|L| <= limit)`.
    pub strict: bool,
    /// `|L| > warn`.
    pub unstable: bool,
}

/// The divergence rule (specification, section 3), before the step is taken.
pub fn judge(log: &StepLog, config: &EbmConfig) -> Verdict {
    let within = |v: f32| f64::from(v).abs() <= config.divergence.limit;
    let generative = config.loss.w_x > 0.0 && config.loss.p_on > 0.0;
    let broken = log.generative.is_some_and(|l| !l.is_finite()) || log.max_fake.is_some_and(|m| !m.is_finite());
    Verdict {
        diverged: !within(log.loss) || (generative && broken),
        strict: log.generative.is_some_and(|l| !within(l)),
        unstable: log.generative.is_some_and(|l| f64::from(l).abs() > config.divergence.warn),
    }
}

fn mean_std(values: &[f32]) -> (f32, f32) {
    let n = values.len().max(1) as f64;
    let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
    let var = values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / n;
    (mean as f32, var.sqrt() as f32)
}

impl Cells {
    /// Checks that labels are below `classes` and the features fit.
    ///
    /// # Errors
    /// `Error::Shape`.
    pub fn check(&self, classes: usize) -> Result<()> {
        if self.x.len() == self.len() * self.features && self.y.iter().all(|&y| (y as usize) < classes) {
            return Ok(());
        }
        Err(Error::Shape {
            op: "cells",
            expected: format!("{} x {} features, labels below {classes}", self.len(), self.features),
            found: format!("{} values", self.x.len()),
        })
    }
}
