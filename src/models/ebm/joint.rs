//! Classifier and density in one network: the iteration of `resnet`, JEM, CLAMS, HDGE and HDGE+JEM
//! (CLAMS specification, sections 3 to 5).
//!
//! The loss is `w_y CE`, plus `w_x g(L)` where Langevin chains run, plus the contrastive term where there
//! is a memory. Whether L counts is decided on the device, so that nobody waits for it. Where the device
//! can, losses and update are recorded once and replayed ([`Step`]), as the sampler's chains are; the
//! bits are the same.

use super::clip;
use super::config::LossConfig;
use super::hdge::{ContrastLog, Contrasted, Memory};
use super::log::{StepLog, mean_std};
use super::objective::{Batch, Learner, Objective};
use super::sample::Sampler;
use super::train::Named;
use crate::error::{Error, Result};
use crate::models::run::State;
use crate::nn::{Step, loss};
use crate::tensor::{Tensor, grad, grad_with, no_grad};
use std::collections::BTreeMap;

/// What the replay buffer is called in a state and a model file.
pub const BUFFER: &str = "buffer";
/// First slot of each class and the end, in buffers that have segments.
pub const SEGMENTS: &str = "buffer.segments";

/// The losses of an iteration.
struct Losses {
    /// `w_y CE` plus the contrastive term of the labelled batch.
    labelled: Tensor,
    /// Raw generative loss L; off the tape while the gate is closed.
    generative: Option<Tensor>,
    /// For the host: ce; with a memory the contrastive loss and its top-1 rate; then, if the sampler ran,
    /// L, the largest absolute sampled feature, s of the real and s of the sampled cells.
    figures: Vec<Tensor>,
}

/// What an iteration works on.
struct Given<'a> {
    /// Rows of the labelled batch.
    labelled: &'a Tensor,
    /// Where their logits go in the memory.
    next: Option<&'a Tensor>,
    /// Rows of real cells, and sampled cells.
    generative: Option<(&'a Tensor, &'a Tensor)>,
}

/// The objective of this file.
pub(super) struct Joint {
    sampler: Option<Sampler>,
    memory: Option<Memory>,
    /// Iterations by what they are made of: whether the sampler ran, and whether the gate is open.
    recorded: BTreeMap<(bool, bool), Step<Tensor>>,
    /// Iterations of the epoch, and those of them whose contrastive loss told nothing.
    stuck: (usize, usize),
}

impl Joint {
    /// `class_counts` are the training cells of each class.
    pub fn new(learner: &Learner, class_counts: &[usize]) -> Result<Joint> {
        let (config, device) = (&learner.config, learner.x.device());
        let generative = config.loss.w_x > 0.0 && (config.loss.p_on > 0.0 || config.loss.sample_when_off);
        let sampler = match generative {
            true => Some(Sampler::new(&config.sgld, learner.network.features(), class_counts, learner.seed, device)?),
            false => None,
        };
        if let Some(sampler) = sampler.as_ref().filter(|_| config.sgld.conditional) {
            sampler.fill(&learner.network)?;
        }
        let batch = config.optim.batch.min(learner.x.size(0));
        let memory = |hdge| Memory::new(hdge, batch, class_counts.len(), learner.seed, device);
        let memory = config.hdge.as_ref().map(memory).transpose()?;
        Ok(Joint { sampler, memory, recorded: BTreeMap::new(), stuck: (0, 0) })
    }

    /// The losses of a labelled batch and, if the sampler ran, of real and sampled cells.
    fn losses(&self, learner: &Learner, given: &Given, open: bool, t: u32) -> Result<Losses> {
        let network = &learner.network;
        let (x_lab, y_lab) = (learner.cells(given.labelled, 1, t)?, learner.labels(given.labelled)?);
        let scores = |real: &Tensor, fake: &Tensor| -> Result<[Tensor; 3]> {
            let s_fake = network.score(fake, &learner.mode(0, t))?;
            let s_real = network.score(&learner.cells(real, 0, t)?, &learner.mode(1, t))?;
            let l = s_fake.mean_all()?.sub(&s_real.mean_all()?)?;
            Ok([l, s_real, s_fake])
        };
        // L is logged also while the gate is closed; then it needs no tape.
        let scores = match given.generative {
            Some((real, fake)) if open => Some(scores(real, fake)?),
            Some((real, fake)) => Some(no_grad(|| scores(real, fake))?),
            None => None,
        };
        let logits = network.logits(&x_lab, &learner.mode(2, t))?;
        let ce = loss::cross_entropy(&logits, &y_lab)?;
        let contrasted = self.memory.as_ref().map(|memory| memory.contrast(&logits, &y_lab)).transpose()?;
        if let (Some(memory), Some(next)) = (&self.memory, given.next) {
            memory.write(next, &logits)?;
        }
        let mut figures = vec![ce.clone()];
        let mut total = ce.mul_scalar(learner.config.loss.w_y)?;
        if let Some(Contrasted { loss, top1 }) = contrasted {
            total = total.add(&loss)?;
            figures.extend([loss, top1]);
        }
        if let (Some([l, s_real, s_fake]), Some((_, fake))) = (&scores, given.generative) {
            let largest = no_grad(|| fake.abs()?.amax(&[0, 1], false))?;
            figures.extend([l.clone(), largest, s_real.clone(), s_fake.clone()]);
        }
        Ok(Losses { labelled: total, generative: scores.map(|[l, ..]| l), figures })
    }

    /// Minimises the losses, of which L counts as `w_x g(L)` where it passes the threshold and g is not
    /// flat; returns the length of the gradient.
    fn update(&self, learner: &Learner, losses: &Losses, open: bool) -> Result<Tensor> {
        let (config, params) = (&learner.config.loss, learner.network.params());
        let mut flat = params.flatten(&grad(&[&losses.labelled], &params.all(), false)?)?;
        if let (Some(l), true) = (&losses.generative, open) {
            let clipped = config.clip.apply(l)?.mul_scalar(config.w_x * rescale(config))?;
            let slope = grad(&[&clipped], &[l], false)?.remove(0);
            let of_l = params.flatten(&grad_with(&[l], &[&slope], &params.all(), false)?)?;
            let zero = Tensor::scalar(0.0, l.device())?;
            // Left out rather than multiplied by 0: 0 times infinity would be NaN.
            let mut counted = slope.ne(&zero)?.select(&of_l, &zero)?;
            if let Some(threshold) = config.threshold {
                counted = l.detach().gt(&Tensor::scalar(threshold, l.device())?)?.select(&counted, &zero)?;
            }
            flat = flat.add(&counted)?;
        }
        let norm = no_grad(|| flat.square()?.sum_all()?.sqrt())?;
        learner.optimizer.update(params, &flat)?;
        Ok(norm)
    }
}

/// Makes up for the iterations that the stochastic gate leaves out, if that is wanted.
fn rescale(config: &LossConfig) -> f32 {
    if config.sr_rescale && config.p_on > 0.0 { (1.0 / config.p_on) as f32 } else { 1.0 }
}

impl Objective for Joint {
    fn launch(&mut self, learner: &mut Learner, batch: &Batch, log: &mut StepLog) -> Result<Tensor> {
        let t = batch.t;
        let open = clip::gate(learner.seed, t, learner.config.loss.p_on);
        let fake = match &mut self.sampler {
            Some(sampler) if open || learner.config.loss.sample_when_off => {
                let (x, fresh) = sampler.sample(&learner.network, batch.real.len(), t)?;
                (log.fresh, log.gate) = (fresh, open);
                Some(x)
            }
            _ => None,
        };
        let kind = (fake.is_some(), open);
        let mut inputs = vec![learner.rows(&batch.labelled)?];
        if let Some(memory) = &mut self.memory {
            inputs.push(learner.rows(&memory.next(batch.labelled.len()))?);
            log.contrast = Some(ContrastLog { random_left: memory.random_left(), ..ContrastLog::default() });
            memory.advance(batch.labelled.len());
        }
        if let Some(fake) = fake {
            inputs.extend([learner.rows(&batch.real)?, fake]);
        }
        learner.optimizer.prepare(learner.config.optim.lr * batch.pace)?;
        let mut step = self.recorded.remove(&kind).unwrap_or_else(|| Step::new(learner.x.device()));
        let remembers = usize::from(self.memory.is_some());
        let figures = step.run(&inputs.iter().collect::<Vec<_>>(), t, &|x, t| {
            let generative = x.get(1 + remembers).zip(x.get(2 + remembers));
            let next = self.memory.as_ref().and(x.get(1));
            let losses = self.losses(learner, &Given { labelled: &x[0], next, generative }, open, t)?;
            let norm = self.update(learner, &losses, open)?;
            Tensor::join(&std::iter::once(&norm).chain(&losses.figures).collect::<Vec<_>>())
        })?;
        self.recorded.insert(kind, step);
        learner.optimizer.advance();
        Ok(figures)
    }

    fn tell(&mut self, learner: &Learner, batch: &Batch, figures: &[f32], log: &mut StepLog) {
        let config = &learner.config.loss;
        self.stuck.0 += 1;
        let &[norm, ce, ref rest @ ..] = figures else { return };
        (log.grad_norm, log.ce, log.loss) = (Some(norm), ce, config.w_y * ce);
        let mut rest = rest;
        if let (Some(contrast), &[loss, top1, ref after @ ..]) = (&mut log.contrast, rest) {
            *contrast = ContrastLog { loss, top1, ..*contrast };
            log.loss += loss;
            self.stuck.1 += usize::from(tells_nothing(loss, &learner.config));
            rest = after;
        }
        let &[raw, largest, ref scores @ ..] = rest else { return };
        let (s_real, s_fake) = scores.split_at(batch.real.len());
        log.generative = Some(raw);
        log.max_fake = Some(largest);
        log.s_real = Some(mean_std(s_real));
        log.s_fake = Some(mean_std(s_fake));
        log.gate &= clip::passes(raw, config.threshold);
        if log.gate {
            log.clipped = config.clip.value(raw) * rescale(config);
            log.c = config.w_x * config.clip.slope(raw) * rescale(config);
            log.loss += config.w_x * log.clipped;
        }
    }

    fn generative(&self) -> Result<Vec<Named>> {
        let Some(buffer) = self.sampler.as_ref().map(Sampler::buffer) else { return Ok(Vec::new()) };
        let slots = buffer.slots();
        let mut all = vec![(BUFFER.to_owned(), slots.shape().to_vec(), slots.to_vec()?)];
        if buffer.offsets().len() > 2 {
            let offsets: Vec<f32> = buffer.offsets().iter().map(|&at| at as f32).collect();
            all.push((SEGMENTS.to_owned(), vec![offsets.len()], offsets));
        }
        Ok(all)
    }

    fn set_generative(&mut self, named: &[Named]) -> Result<()> {
        let Some(sampler) = &self.sampler else { return Ok(()) };
        let slots = named.iter().find(|(name, ..)| name == BUFFER);
        let missing = || Error::Argument { op: "import", what: format!("\"{BUFFER}\" is missing") };
        sampler.buffer().load(&slots.ok_or_else(missing)?.2)
    }

    fn save(&self, state: &mut State) -> Result<()> {
        if let Some(memory) = &self.memory {
            let (name, shape, values) = memory.export()?;
            state.set(name, &shape, values);
            state.json["memory_written"] = memory.written().into();
        }
        Ok(())
    }

    fn restore(&mut self, state: &State) -> Result<()> {
        if let Some(memory) = &mut self.memory {
            let written = state.json["memory_written"].as_u64();
            let missing = || Error::Argument { op: "state", what: "has no count of remembered cells".into() };
            memory.import(state.tensor(Memory::NAME, memory.slots().shape())?, written.ok_or_else(missing)?)?;
        }
        Ok(())
    }

    fn sampler(&self) -> Option<&Sampler> {
        self.sampler.as_ref()
    }

    fn end_epoch(&mut self) -> Vec<String> {
        let (iterations, stuck) = std::mem::take(&mut self.stuck);
        if iterations > 0 && stuck == iterations {
            return vec![
                "the contrastive loss stayed at ln(K + 1): the memory tells cells apart no better than chance".into(),
            ];
        }
        Vec::new()
    }
}

/// Whether a contrastive loss is what equal scores give.
fn tells_nothing(loss: f32, config: &super::EbmConfig) -> bool {
    config.hdge.as_ref().is_some_and(|hdge| (f64::from(loss) - (hdge.memory as f64 + 1.0).ln()).abs() < 1e-3)
}
