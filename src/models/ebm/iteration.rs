//! One iteration of the training (CLAMS specification, sections 3 and 4).
//!
//! Two halves around a decision of the host: the losses, and the update. Where the device can, each is
//! recorded once and replayed ([`Halves`]), as the sampler's chains are; the bits are the same.

use super::clip;
use super::log::{StepLog, judge, mean_std};
use super::train::Trainer;
use crate::error::Result;
use crate::nn::sampler::normal;
use crate::nn::{Halves, Mode, loss};
use crate::rng::{Stream, stream};
use crate::tensor::{Tensor, grad, no_grad};
use std::collections::BTreeMap;

/// What the first half gives the second, on the tape, and the host.
#[derive(Clone)]
struct Losses {
    /// Cross-entropy of the labelled batch.
    ce: Tensor,
    /// Raw generative loss L; off the tape while the gate is closed.
    generative: Option<Tensor>,
    /// For the host: ce; then, if the sampler ran, L, the largest absolute sampled feature, s of the real
    /// and s of the sampled cells.
    figures: Tensor,
}

/// The recorded iterations of a run, by what they are made of.
#[derive(Default)]
pub(super) struct Recorded(BTreeMap<Kind, Halves<Losses, Tensor>>);

/// An iteration's first half: whether the sampler ran, and whether the gate is open.
type Kind = (bool, bool);

impl Trainer {
    /// The parts of one iteration's dropout masks.
    fn mode(&self, pass: u32, step: u32) -> Mode {
        Mode::train(Stream::new(self.seed, stream::DROPOUT).at(step), pass << 16)
    }

    /// Real cells of a batch, with input noise if configured.
    fn cells(&self, idx: &Tensor, pass: u32, step: u32) -> Result<Tensor> {
        let x = self.x.index_select(idx)?;
        let std = self.config.loss.input_noise;
        if std <= 0.0 {
            return Ok(x);
        }
        let draws = Stream::new(self.seed, stream::AUGMENT).at(step).part(pass);
        x.add(&normal(draws, 0.0, std, x.shape(), self.x.device())?)
    }

    /// The losses of a labelled batch and, if the sampler ran, of real and sampled cells.
    fn losses(&self, labelled: &Tensor, generative: Option<(&Tensor, &Tensor)>, open: bool, t: u32) -> Result<Losses> {
        let x_lab = self.cells(labelled, 1, t)?;
        let y_lab = self.y.reshape(&[self.y.numel(), 1])?.index_select(labelled)?.reshape(&[labelled.numel()])?;
        let scores = |real: &Tensor, fake: &Tensor| -> Result<[Tensor; 3]> {
            let s_fake = self.network.score(fake, &self.mode(0, t))?;
            let s_real = self.network.score(&self.cells(real, 0, t)?, &self.mode(1, t))?;
            let l = s_fake.mean_all()?.sub(&s_real.mean_all()?)?;
            Ok([l, s_real, s_fake])
        };
        // L is logged also while the gate is closed; then it needs no tape.
        let scores = match generative {
            Some((real, fake)) if open => Some(scores(real, fake)?),
            Some((real, fake)) => Some(no_grad(|| scores(real, fake))?),
            None => None,
        };
        let ce = loss::cross_entropy(&self.network.logits(&x_lab, &self.mode(2, t))?, &y_lab)?;
        let figures = match (&scores, generative) {
            (Some([l, s_real, s_fake]), Some((_, fake))) => {
                let largest = no_grad(|| fake.abs()?.amax(&[0, 1], false))?;
                Tensor::join(&[&ce, l, &largest, s_real, s_fake])?
            }
            _ => Tensor::join(&[&ce])?,
        };
        Ok(Losses { ce, generative: scores.map(|[l, ..]| l), figures })
    }

    /// Minimises `w_y CE`, plus `factor g(L)` if given; returns the length of the gradient.
    fn update(&self, losses: &Losses, factor: Option<f32>) -> Result<Tensor> {
        let config = &self.config.loss;
        let mut objective = losses.ce.mul_scalar(config.w_y)?;
        if let (Some(l), Some(factor)) = (&losses.generative, factor) {
            objective = objective.add(&config.clip.apply(l)?.mul_scalar(factor)?)?;
        }
        let grads = grad(&[&objective], &self.network.params().all(), false)?;
        let flat = self.network.params().flatten(&grads)?;
        drop((grads, objective));
        let norm = no_grad(|| flat.square()?.sum_all()?.sqrt())?;
        self.optimizer.update(self.network.params(), &flat)?;
        Ok(norm)
    }

    /// One iteration. After divergence nothing more is trained. The host waits for the device twice:
    /// for the losses, which decide whether and on what to take the step, and for the logged length of
    /// the gradient, once the step is on its way.
    ///
    /// # Errors
    /// Device errors. Divergence is not an error: see [`Trainer::divergence`].
    pub fn step(&mut self) -> Result<StepLog> {
        let (t, lr) = (self.t as u32, self.learning_rate());
        let mut log = StepLog { t: self.t, epoch: self.epoch, lr, ..StepLog::default() };
        let idx_x = self.stream_x.next_batch().to_vec();
        let idx_lab = if self.config.loss.shared_batch { idx_x.clone() } else { self.stream_lab.next_batch().to_vec() };
        let open = clip::gate(self.seed, t, self.config.loss.p_on);
        let fake = match &mut self.sampler {
            Some(sampler) if open || self.config.loss.sample_when_off => {
                let (x, fresh) = sampler.sample(&self.network, idx_x.len(), t)?;
                log.fresh = fresh;
                Some(x)
            }
            _ => None,
        };

        let device = self.x.device().clone();
        let kind = (fake.is_some(), open);
        let mut halves = self.recorded.0.remove(&kind).unwrap_or_else(|| Halves::new(&device));
        let labelled = Tensor::from_u32(&idx_lab, &[idx_lab.len()], &device)?;
        let losses = match &fake {
            Some(fake) => {
                let real = Tensor::from_u32(&idx_x, &[idx_x.len()], &device)?;
                let first = |x: &[Tensor], t| self.losses(&x[0], Some((&x[1], &x[2])), open, t);
                halves.first(&[&labelled, &real, fake], t, &first)?
            }
            None => halves.first(&[&labelled], t, &|x, t| self.losses(&x[0], None, open, t))?,
        };
        // What the host decides by comes back in one download.
        let factor = self.decide(&losses.figures.to_vec()?, idx_x.len(), open, &mut log);
        self.t += 1;
        if self.diverged(&log) {
            return Ok(log);
        }
        self.optimizer.prepare(lr)?;
        let norm = halves.second(factor.is_some().into(), t, &|_| self.update(&losses, factor))?;
        self.optimizer.advance();
        log.grad_norm = Some(norm.item()?);
        self.recorded.0.insert(kind, halves);
        Ok(log)
    }

    /// Clips and gates: notes the figures of [`Losses`] (of `n_real` real cells) and what follows from
    /// them, and returns the factor of g(L) in the objective, if L counts.
    fn decide(&mut self, figures: &[f32], n_real: usize, open: bool, log: &mut StepLog) -> Option<f32> {
        let config = &self.config.loss;
        log.ce = figures[0];
        log.loss = config.w_y * log.ce;
        let &[_, raw, largest, ref scores @ ..] = figures else { return None };
        let (s_real, s_fake) = scores.split_at(n_real);
        log.generative = Some(raw);
        log.max_fake = Some(largest);
        log.s_real = Some(mean_std(s_real));
        log.s_fake = Some(mean_std(s_fake));
        log.gate = open && clip::passes(raw, config.threshold);
        if !log.gate {
            return None;
        }
        self.on_iterations += 1;
        let rescale = if config.sr_rescale && config.p_on > 0.0 { (1.0 / config.p_on) as f32 } else { 1.0 };
        log.clipped = config.clip.value(raw) * rescale;
        log.c = config.w_x * config.clip.slope(raw) * rescale;
        log.loss += config.w_x * log.clipped;
        // A factor of 0 skips the generative backward: 0 times infinity would be NaN.
        (log.c != 0.0).then_some(config.w_x * rescale)
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
}
