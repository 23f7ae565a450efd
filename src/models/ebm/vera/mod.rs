//! VERA (Grathwohl et al. 2021): a generator in place of Langevin chains (CLAMS specification, section 5).
//!
//! Each iteration moves three sets of parameters, each with the others frozen: the energy (the
//! network), `-mean s(x) + mean s(x_g) + gamma/2 mean |ds/dx|^2 + w CE`, by second-order gradients;
//! the generator, up `mean s(x_g)` plus lambda times its entropy; and the width eta of a posterior
//! `q(h|x)` around the h that a cell came from, which the entropy's gradient is estimated with
//! ([`entropy`]).
//!
//! | file | what |
//! |---|---|
//! | [`config`] | settings |
//! | [`generator`] | `x = G(h) + sigma eps` |
//! | [`entropy`] | `-d log q(x)/dx` by importance sampling |

pub mod config;
pub mod entropy;
pub mod generator;

pub use config::VeraConfig;
pub use generator::Generator;

use super::log::{StepLog, mean_std};
use super::objective::{Batch, Learner, Objective};
use super::train::Named;
use crate::error::{Error, Result};
use crate::models::run::State;
use crate::nn::sampler::normal;
use crate::nn::{Builder, Id, Init, Mode, Optimizer, OptimizerConfig, Params, Step, loss};
use crate::rng::{Stream, stream};
use crate::tensor::{Tensor, grad, grad_with, no_grad};
use generator::Drawn;
use serde::{Deserialize, Serialize};

/// What an iteration reports of the generator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GeneratorLog {
    /// Half the mean squared gradient of s at real cells.
    pub penalty: f32,
    /// Mean `<c, x_g>`: what the entropy adds, but for its weight.
    pub entropy: f32,
    /// Mean length of the gradient of s at generated cells.
    pub slope: f32,
    /// Mean length of c, the gradient of the entropy.
    pub pull: f32,
    /// Standard deviation of the generator's noise.
    pub sigma: f32,
    /// Mean width of the posterior.
    pub eta: f32,
    /// Effective number of posterior samples.
    pub effective: f32,
    /// Length of the gradient of the generator's parameters.
    pub grad_norm: f32,
}

/// The energy's loss and the cells it is of, on the tapes of network and generator.
struct Losses {
    energy: Tensor,
    drawn: Drawn,
    /// ce, L, the penalty, the largest absolute generated feature.
    figures: [Tensor; 4],
    /// s of the real and s of the generated cells.
    scores: [Tensor; 2],
}

/// Figures of an epoch that tell of a collapse.
#[derive(Default)]
struct Watch {
    iterations: usize,
    /// Iterations with sigma at its least.
    narrow: usize,
    effective: f64,
}

/// The objective of this module.
pub(super) struct Vera {
    config: VeraConfig,
    generator: Generator,
    generator_optimizer: Optimizer,
    posterior: Params,
    log_eta: Id,
    posterior_optimizer: Optimizer,
    recorded: Step<Tensor>,
    watch: Watch,
}

impl Vera {
    pub fn new(config: &VeraConfig, learner: &Learner) -> Result<Vera> {
        let device = learner.x.device();
        let generator = Generator::new(config, learner.network.features(), learner.seed, device)?;
        let mut builder = Builder::new();
        let log_eta = builder.add("posterior.log_eta", &[config.latent], Init::Constant(config.eta.ln()));
        let posterior = builder.build(learner.seed, device)?;
        Ok(Vera {
            config: config.clone(),
            generator_optimizer: Optimizer::new(learner.config.optim.adam(), generator.params().numel(), device)?,
            posterior_optimizer: Optimizer::new(OptimizerConfig::adam(), config.latent, device)?,
            generator,
            posterior,
            log_eta,
            recorded: Step::new(device),
            watch: Watch::default(),
        })
    }

    fn draws(learner: &Learner, t: u32) -> Stream {
        Stream::new(learner.seed, stream::VERA).at(t)
    }

    /// A pass of the generator in training: its batch's own statistics.
    fn mode(learner: &Learner, t: u32) -> Mode {
        Mode::train(Vera::draws(learner, t), 0)
    }

    /// The energy's loss on a batch of rows, and as many generated cells.
    fn losses(&self, learner: &Learner, rows: &Tensor, t: u32) -> Result<Losses> {
        let (network, loss) = (&learner.network, &learner.config.loss);
        let drawn = self.generator.sample(rows.numel(), Vera::draws(learner, t), &Vera::mode(learner, t))?;
        let x = learner.cells(rows, 0, t)?.variable();
        let z = network.logits(&x, &learner.mode(1, t))?;
        let s_real = z.logsumexp()?;
        let s_gen = network.score(&drawn.x.detach(), &learner.mode(0, t))?;
        let l = s_gen.mean_all()?.sub(&s_real.mean_all()?)?;
        let penalty = penalty(&s_real, &x)?;
        let ce = loss::cross_entropy(&z, &learner.labels(rows)?)?;
        let energy = l.add(&penalty.mul_scalar(self.config.penalty)?)?.mul_scalar(loss.w_x)?;
        let energy = energy.add(&ce.mul_scalar(loss.w_y)?)?;
        let largest = no_grad(|| drawn.x.abs()?.amax(&[0, 1], false))?;
        Ok(Losses { energy, drawn, figures: [ce, l, penalty, largest], scores: [s_real, s_gen] })
    }

    /// Moves the energy, then, unless the entropy's weight is 0, generator and posterior. Returns the
    /// length of the energy's gradient and, if these moved, what [`GeneratorLog`] has after the penalty.
    fn update(&self, learner: &Learner, losses: &Losses, t: u32) -> Result<Tensor> {
        let params = learner.network.params();
        let flat = params.flatten(&grad(&[&losses.energy], &params.all(), false)?)?;
        let norm = length(&flat)?;
        learner.optimizer.update(params, &flat)?;
        if self.config.entropy == 0.0 {
            return Ok(norm);
        }
        let Drawn { x, h } = &losses.drawn;
        let draws = Vera::draws(learner, t);
        let aside = || Vera::mode(learner, t).aside();
        let (log_eta, sigma) = (self.posterior.get(self.log_eta), self.generator.sigma()?.detach());
        let eta = log_eta.exp()?;
        let cells = x.detach().variable();
        let slope =
            grad(&[&learner.network.score(&cells, &learner.mode(3, t))?.sum_all()?], &[&cells], false)?.remove(0);
        let decode = |h: &Tensor| self.generator.mean(h, &aside());
        let samples = self.config.samples;
        let pull = entropy::pull(&decode, &x.detach(), h, &eta.detach(), &sigma, samples, draws.part(2))?;

        // Up mean s(x_g) + lambda <c, x_g>, whose gradient at x_g is at hand.
        let up = slope.add(&pull.c.mul_scalar(self.config.entropy)?)?.mul_scalar(-1.0 / x.size(0) as f32)?;
        let of_generator = grad_with(&[x], &[&up], &self.generator.params().all(), false)?;
        let of_generator = self.generator.params().flatten(&of_generator)?;
        // Up the evidence bound, over eta alone.
        let around = h.add(&normal(draws.part(3), 0.0, 1.0, h.shape(), h.device())?.mul(&eta)?)?;
        let joint = entropy::log_joint(&x.detach(), &around, &decode(&around)?, &sigma)?;
        let bound = joint.mean_all()?.add(&log_eta.sum_all()?)?;
        let of_posterior = grad(&[&bound.neg()?], &[log_eta], false)?;
        self.generator_optimizer.update(self.generator.params(), &of_generator)?;
        self.generator.clamp_sigma(self.config.sigma)?;
        self.posterior_optimizer.update(&self.posterior, &self.posterior.flatten(&of_posterior)?)?;

        no_grad(|| {
            let mean_length = |v: &Tensor| v.norm(&[1], false)?.mean_all();
            let entropy = pull.c.mul(x)?.sum(&[1], false)?.mean_all()?;
            let (slope, drawn_out) = (mean_length(&slope)?, mean_length(&pull.c)?);
            let (eta, generator) = (eta.mean_all()?, length(&of_generator)?);
            Tensor::join(&[&norm, &entropy, &slope, &drawn_out, &sigma, &eta, &pull.effective, &generator])
        })
    }
}

/// Half the mean squared gradient of scores `[n]` at their cells `x` `[n, d]`, on the tape.
///
/// # Errors
/// `Error::NotDifferentiable` for a score whose gradient has no gradient.
pub fn penalty(score: &Tensor, x: &Tensor) -> Result<Tensor> {
    let slope = grad(&[&score.sum_all()?], &[x], true)?.remove(0);
    slope.square()?.sum(&[1], false)?.mean_all()?.mul_scalar(0.5)
}

fn length(flat: &Tensor) -> Result<Tensor> {
    no_grad(|| flat.square()?.sum_all()?.sqrt())
}

impl Objective for Vera {
    fn launch(&mut self, learner: &mut Learner, batch: &Batch, _: &mut StepLog) -> Result<Tensor> {
        learner.optimizer.prepare(learner.config.optim.lr * batch.pace)?;
        self.generator_optimizer.prepare(self.config.lr_generator * batch.pace)?;
        self.posterior_optimizer.prepare(self.config.lr_posterior * batch.pace)?;
        let mut step = std::mem::replace(&mut self.recorded, Step::new(learner.x.device()));
        let rows = learner.rows(&batch.labelled)?;
        let figures = step.run(&[&rows], batch.t, &|x, t| {
            let losses = self.losses(learner, &x[0], t)?;
            let moved = self.update(learner, &losses, t)?;
            let all = losses.figures.iter().chain(&losses.scores).chain(std::iter::once(&moved));
            Tensor::join(&all.collect::<Vec<_>>())
        })?;
        self.recorded = step;
        learner.optimizer.advance();
        if self.config.entropy != 0.0 {
            self.generator_optimizer.advance();
            self.posterior_optimizer.advance();
        }
        Ok(figures)
    }

    fn tell(&mut self, learner: &Learner, batch: &Batch, figures: &[f32], log: &mut StepLog) {
        let &[ce, l, penalty, largest, ref rest @ ..] = figures else { return };
        let (s_real, rest) = rest.split_at(batch.labelled.len());
        let (s_gen, moved) = rest.split_at(batch.labelled.len());
        let loss = &learner.config.loss;
        log.ce = ce;
        log.generative = Some(l);
        log.clipped = l;
        log.gate = true;
        log.c = loss.w_x;
        log.loss = loss.w_x * (l + self.config.penalty * penalty) + loss.w_y * ce;
        log.s_real = Some(mean_std(s_real));
        log.s_fake = Some(mean_std(s_gen));
        log.max_fake = Some(largest);
        log.grad_norm = moved.first().copied();
        log.generator = Some(match moved {
            &[_, entropy, slope, pull, sigma, eta, effective, grad_norm] => {
                self.watch.iterations += 1;
                self.watch.narrow += usize::from(sigma <= self.config.sigma.0 * 1.0001);
                self.watch.effective += f64::from(effective);
                GeneratorLog { penalty, entropy, slope, pull, sigma, eta, effective, grad_norm }
            }
            _ => GeneratorLog { penalty, ..GeneratorLog::default() },
        });
    }

    fn generative(&self) -> Result<Vec<Named>> {
        self.generator.export()
    }

    fn set_generative(&mut self, named: &[Named]) -> Result<()> {
        self.generator.import(named)
    }

    fn save(&self, state: &mut State) -> Result<()> {
        for (name, shape, values) in self.posterior.export()? {
            state.set(name, &shape, values);
        }
        let optimizers = [("generator", &self.generator_optimizer), ("posterior", &self.posterior_optimizer)];
        for (whose, optimizer) in optimizers {
            for (i, values) in optimizer.export()?.into_iter().enumerate() {
                state.set(format!("{whose}.optimizer.{i}"), &[values.len()], values);
            }
        }
        state.json["generator_steps"] = self.generator_optimizer.steps().into();
        Ok(())
    }

    fn restore(&mut self, state: &State) -> Result<()> {
        let steps = state.json["generator_steps"].as_u64();
        let missing = || Error::Argument { op: "state", what: "has no count of the generator's steps".into() };
        let steps = steps.ok_or_else(missing)?;
        self.posterior.import(|name| state.tensors.get(name).map(|(shape, values)| (&shape[..], &values[..])))?;
        let optimizers = [("generator", &mut self.generator_optimizer), ("posterior", &mut self.posterior_optimizer)];
        for (whose, optimizer) in optimizers {
            let moment = |i| state.tensors.get(&format!("{whose}.optimizer.{i}")).map(|(_, values)| values.clone());
            optimizer.import(&(0..).map_while(moment).collect::<Vec<_>>(), steps)?;
        }
        Ok(())
    }

    fn end_epoch(&mut self) -> Vec<String> {
        let Watch { iterations, narrow, effective } = std::mem::take(&mut self.watch);
        let mut signs = Vec::new();
        if iterations > 0 && narrow == iterations {
            signs.push(
                "the generator's noise stayed at its least for a whole epoch: its cells may have collapsed".into(),
            );
        }
        if iterations > 0 && effective < 1.5 * iterations as f64 {
            signs.push("one posterior sample outweighs all others: the generator's entropy is poorly estimated".into());
        }
        signs
    }
}
