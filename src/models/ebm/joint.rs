//! Classifier and density in one network: the iteration of `resnet`, JEM, CLAMS, HDGE and HDGE+JEM
//! (CLAMS specification, sections 3 to 5).
//!
//! The loss is `w_y CE`, plus `w_x g(L)` where Langevin chains run, plus the contrastive term where there
//! is a memory. Two halves around a decision of the host: the losses, and the update. Where the device
//! can, each is recorded once and replayed ([`Halves`]), as the sampler's chains are; the bits are the
//! same.

use super::clip;
use super::hdge::{ContrastLog, Contrasted, Memory};
use super::log::{StepLog, judge, mean_std};
use super::objective::{Batch, Learner, Objective};
use super::sample::Sampler;
use super::train::Named;
use crate::error::{Error, Result};
use crate::models::run::State;
use crate::nn::{Halves, loss};
use crate::tensor::{Tensor, grad, no_grad};
use std::collections::BTreeMap;

/// What the replay buffer is called in a state and a model file.
pub const BUFFER: &str = "buffer";
/// First slot of each class and the end, in buffers that have segments.
pub const SEGMENTS: &str = "buffer.segments";

/// What the first half gives the second, on the tape, and the host.
#[derive(Clone)]
struct Losses {
    /// Cross-entropy of the labelled batch.
    ce: Tensor,
    /// The contrastive term of the labelled batch.
    contrast: Option<Tensor>,
    /// Raw generative loss L; off the tape while the gate is closed.
    generative: Option<Tensor>,
    /// For the host: ce; with a memory the contrastive loss and its top-1 rate; then, if the sampler ran,
    /// L, the largest absolute sampled feature, s of the real and s of the sampled cells.
    figures: Tensor,
}

/// What the first half works on.
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
    recorded: BTreeMap<(bool, bool), Halves<Losses, Tensor>>,
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
        figures.extend(contrasted.iter().flat_map(|c| [c.loss.clone(), c.top1.clone()]));
        if let (Some([l, s_real, s_fake]), Some((_, fake))) = (&scores, given.generative) {
            let largest = no_grad(|| fake.abs()?.amax(&[0, 1], false))?;
            figures.extend([l.clone(), largest, s_real.clone(), s_fake.clone()]);
        }
        let figures = Tensor::join(&figures.iter().collect::<Vec<_>>())?;
        let contrast = contrasted.map(|Contrasted { loss, .. }| loss);
        Ok(Losses { ce, contrast, generative: scores.map(|[l, ..]| l), figures })
    }

    /// Minimises `w_y CE` plus the contrastive term, plus `factor g(L)` if given; returns the length of
    /// the gradient.
    fn update(&self, learner: &Learner, losses: &Losses, factor: Option<f32>) -> Result<Tensor> {
        let (config, params) = (&learner.config.loss, learner.network.params());
        let mut objective = losses.ce.mul_scalar(config.w_y)?;
        if let Some(contrast) = &losses.contrast {
            objective = objective.add(contrast)?;
        }
        if let (Some(l), Some(factor)) = (&losses.generative, factor) {
            objective = objective.add(&config.clip.apply(l)?.mul_scalar(factor)?)?;
        }
        let grads = grad(&[&objective], &params.all(), false)?;
        let flat = params.flatten(&grads)?;
        drop((grads, objective));
        let norm = no_grad(|| flat.square()?.sum_all()?.sqrt())?;
        learner.optimizer.update(params, &flat)?;
        Ok(norm)
    }

    /// Clips and gates: notes the figures of [`Losses`] (of `n_real` real cells) and what follows from
    /// them, and returns the factor of g(L) in the objective, if L counts.
    fn decide(&self, learner: &Learner, figures: &[f32], n_real: usize, open: bool, log: &mut StepLog) -> Option<f32> {
        let config = &learner.config.loss;
        log.ce = figures[0];
        log.loss = config.w_y * log.ce;
        let mut rest = &figures[1..];
        if let (Some(memory), &[loss, top1, ref after @ ..]) = (&self.memory, rest) {
            log.contrast = Some(ContrastLog { loss, top1, random_left: memory.random_left() });
            log.loss += loss;
            rest = after;
        }
        let &[raw, largest, ref scores @ ..] = rest else { return None };
        let (s_real, s_fake) = scores.split_at(n_real);
        log.generative = Some(raw);
        log.max_fake = Some(largest);
        log.s_real = Some(mean_std(s_real));
        log.s_fake = Some(mean_std(s_fake));
        log.gate = open && clip::passes(raw, config.threshold);
        if !log.gate {
            return None;
        }
        let rescale = if config.sr_rescale && config.p_on > 0.0 { (1.0 / config.p_on) as f32 } else { 1.0 };
        log.clipped = config.clip.value(raw) * rescale;
        log.c = config.w_x * config.clip.slope(raw) * rescale;
        log.loss += config.w_x * log.clipped;
        // A factor of 0 skips the generative backward: 0 times infinity would be NaN.
        (log.c != 0.0).then_some(config.w_x * rescale)
    }
}

impl Objective for Joint {
    /// The host waits for the device twice: for the losses, which decide whether and on what to take the
    /// step, and for the logged length of the gradient, once the step is on its way.
    fn iterate(&mut self, learner: &mut Learner, batch: &Batch, log: &mut StepLog) -> Result<()> {
        let t = batch.t;
        let open = clip::gate(learner.seed, t, learner.config.loss.p_on);
        let fake = match &mut self.sampler {
            Some(sampler) if open || learner.config.loss.sample_when_off => {
                let (x, fresh) = sampler.sample(&learner.network, batch.real.len(), t)?;
                log.fresh = fresh;
                Some(x)
            }
            _ => None,
        };
        let kind = (fake.is_some(), open);
        let mut halves = self.recorded.remove(&kind).unwrap_or_else(|| Halves::new(learner.x.device()));
        let mut inputs = vec![learner.rows(&batch.labelled)?];
        if let Some(memory) = &self.memory {
            inputs.push(learner.rows(&memory.next(batch.labelled.len()))?);
        }
        if let Some(fake) = fake {
            inputs.extend([learner.rows(&batch.real)?, fake]);
        }
        let remembers = usize::from(self.memory.is_some());
        let first = |x: &[Tensor], t| {
            let generative = x.get(1 + remembers).zip(x.get(2 + remembers));
            let next = self.memory.as_ref().and(x.get(1));
            self.losses(learner, &Given { labelled: &x[0], next, generative }, open, t)
        };
        let losses = halves.first(&inputs.iter().collect::<Vec<_>>(), t, &first)?;
        // What the host decides by comes back in one download.
        let factor = self.decide(learner, &losses.figures.to_vec()?, batch.real.len(), open, log);
        if let Some(memory) = &mut self.memory {
            memory.advance(batch.labelled.len());
        }
        self.stuck.0 += 1;
        self.stuck.1 += usize::from(log.contrast.is_some_and(|c| tells_nothing(c.loss, &learner.config)));
        if judge(log, &learner.config).diverged {
            return Ok(());
        }
        learner.optimizer.prepare(learner.config.optim.lr * batch.pace)?;
        let norm = halves.second(factor.is_some().into(), t, &|_| self.update(learner, &losses, factor))?;
        learner.optimizer.advance();
        log.grad_norm = Some(norm.item()?);
        self.recorded.insert(kind, halves);
        Ok(())
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
