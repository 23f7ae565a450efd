//! Optimisers: one fused launch over the whole arena of parameters.

use super::Params;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::kernel::Kernel;
use crate::kernel::optim::*;
use crate::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// Which rule, with PyTorch's names and defaults. Learning rates are given at each step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
// Each variant's own line tells of its fields.
#[allow(missing_docs)]
pub enum OptimizerConfig {
    /// Gradient descent with momentum.
    Sgd { momentum: f64, dampening: f64, nesterov: bool, weight_decay: f64 },
    /// Kingma & Ba 2015, coupled weight decay; `amsgrad` (Reddi et al. 2018) keeps the largest second moment.
    Adam { betas: (f64, f64), eps: f64, weight_decay: f64, amsgrad: bool },
    /// Loshchilov & Hutter 2019: decoupled weight decay.
    AdamW { betas: (f64, f64), eps: f64, weight_decay: f64 },
    /// Zeiler 2012.
    Adadelta { rho: f64, eps: f64, weight_decay: f64 },
    /// Tieleman & Hinton 2012.
    RmsProp { alpha: f64, eps: f64, weight_decay: f64 },
    /// Duchi et al. 2011.
    Adagrad { lr_decay: f64, eps: f64, weight_decay: f64 },
    /// Kingma & Ba 2015, section 7.
    Adamax { betas: (f64, f64), eps: f64, weight_decay: f64 },
    /// Dozat 2016.
    NAdam { betas: (f64, f64), eps: f64, weight_decay: f64, momentum_decay: f64 },
    /// Liu et al. 2020.
    RAdam { betas: (f64, f64), eps: f64, weight_decay: f64 },
}

impl OptimizerConfig {
    /// Adam with PyTorch's defaults.
    pub fn adam() -> Self {
        OptimizerConfig::Adam { betas: (0.9, 0.999), eps: 1e-8, weight_decay: 0.0, amsgrad: false }
    }

    fn kernel(&self) -> (&'static Kernel, usize) {
        match self {
            OptimizerConfig::Sgd { momentum, .. } if *momentum == 0.0 => (&SGD, 0),
            OptimizerConfig::Sgd { .. } => (&MOMENTUM, 1),
            OptimizerConfig::Adam { amsgrad: true, .. } => (&AMSGRAD, 3),
            OptimizerConfig::Adam { .. }
            | OptimizerConfig::AdamW { .. }
            | OptimizerConfig::NAdam { .. }
            | OptimizerConfig::RAdam { .. } => (&ADAM, 2),
            OptimizerConfig::Adadelta { .. } => (&ADADELTA, 2),
            OptimizerConfig::RmsProp { .. } => (&RMSPROP, 1),
            OptimizerConfig::Adagrad { .. } => (&ADAGRAD, 1),
            OptimizerConfig::Adamax { .. } => (&ADAMAX, 2),
        }
    }

    /// Constants of a launch over `n` elements.
    fn constants(&self, n: usize) -> OptimParams {
        let mut p = OptimParams { n: n as u32, ..OptimParams::default() };
        let mut moments = |betas: &(f64, f64), eps: f64| {
            p.beta1 = betas.0 as f32;
            p.rest1 = (1.0 - betas.0) as f32;
            p.beta2 = betas.1 as f32;
            p.rest2 = (1.0 - betas.1) as f32;
            p.eps = eps as f32;
        };
        let decay = match self {
            OptimizerConfig::Sgd { momentum, nesterov, weight_decay, .. } => {
                p.beta1 = *momentum as f32;
                p.flags = if *nesterov { NESTEROV } else { 0 };
                weight_decay
            }
            OptimizerConfig::Adadelta { rho, eps, weight_decay } => {
                moments(&(*rho, 0.0), *eps);
                weight_decay
            }
            OptimizerConfig::RmsProp { alpha, eps, weight_decay } => {
                moments(&(*alpha, 0.0), *eps);
                weight_decay
            }
            OptimizerConfig::Adagrad { eps, weight_decay, .. } => {
                moments(&(0.0, 0.0), *eps);
                weight_decay
            }
            OptimizerConfig::Adam { betas, eps, weight_decay, .. }
            | OptimizerConfig::AdamW { betas, eps, weight_decay }
            | OptimizerConfig::Adamax { betas, eps, weight_decay }
            | OptimizerConfig::NAdam { betas, eps, weight_decay, .. }
            | OptimizerConfig::RAdam { betas, eps, weight_decay } => {
                moments(betas, *eps);
                weight_decay
            }
        };
        match self {
            OptimizerConfig::AdamW { .. } => p.decay = *decay as f32,
            _ => p.l2 = *decay as f32,
        }
        p
    }

    /// What changes from step to step, for step `t` = 1, 2, ...; `mu` is NAdam's running product.
    fn values(&self, lr: f64, t: u64, mu: &mut f64) -> [f32; 5] {
        let corrections = |betas: &(f64, f64)| {
            let power = |b: f64| 1.0 - b.powf(t as f64);
            (power(betas.0), power(betas.1))
        };
        let values = match self {
            OptimizerConfig::Sgd { .. } if t == 1 => [lr, 0.0, 1.0, 0.0, 0.0],
            OptimizerConfig::Sgd { momentum, dampening, .. } => [lr, *momentum, 1.0 - dampening, 0.0, 0.0],
            OptimizerConfig::Adam { betas, eps, .. } | OptimizerConfig::AdamW { betas, eps, .. } => {
                let (c1, c2) = corrections(betas);
                [lr, lr / c1, 0.0, 1.0 / c2.sqrt(), *eps]
            }
            OptimizerConfig::Adadelta { .. } | OptimizerConfig::RmsProp { .. } => [lr, 0.0, 0.0, 0.0, 0.0],
            OptimizerConfig::Adagrad { lr_decay, .. } => [lr / (1.0 + (t - 1) as f64 * lr_decay), 0.0, 0.0, 0.0, 0.0],
            OptimizerConfig::Adamax { betas, .. } => [lr / corrections(betas).0, 0.0, 0.0, 0.0, 0.0],
            OptimizerConfig::NAdam { betas, eps, momentum_decay, .. } => {
                let (_, c2) = corrections(betas);
                let at = |t: f64| betas.0 * (1.0 - 0.5 * 0.96f64.powf(t * momentum_decay));
                let (now, next) = (at(t as f64), at((t + 1) as f64));
                *mu *= now;
                [lr, lr * next / (1.0 - *mu * next), lr * (1.0 - now) / (1.0 - *mu), 1.0 / c2.sqrt(), *eps]
            }
            OptimizerConfig::RAdam { betas, eps, .. } => {
                let (c1, c2) = corrections(betas);
                let longest = 2.0 / (1.0 - betas.1) - 1.0;
                let rho = longest - 2.0 * t as f64 * (1.0 - c2) / c2;
                if rho > 5.0 {
                    let rectify =
                        ((rho - 4.0) * (rho - 2.0) * longest / ((longest - 4.0) * (longest - 2.0) * rho)).sqrt();
                    [lr, lr * rectify * c2.sqrt() / c1, 0.0, 1.0, *eps]
                } else {
                    [lr, lr / c1, 0.0, 0.0, 1.0]
                }
            }
        };
        values.map(|v| v as f32)
    }
}

/// An optimiser with its state for one arena.
pub struct Optimizer {
    config: OptimizerConfig,
    kernel: &'static Kernel,
    constants: OptimParams,
    state: Vec<Tensor>,
    /// The scalars of the current step, on the device.
    step: Tensor,
    t: u64,
    mu: f64,
}

impl Optimizer {
    /// For an arena of `n` scalars.
    pub fn new(config: OptimizerConfig, n: usize, device: &Device) -> Result<Self> {
        let (kernel, kinds) = config.kernel();
        let state = (0..kinds).map(|_| Tensor::zeros(&[n], device)).collect::<Result<Vec<_>>>()?;
        let constants = config.constants(n);
        Ok(Optimizer { config, kernel, constants, state, step: Tensor::zeros(&[5], device)?, t: 0, mu: 1.0 })
    }

    /// One update of all parameters, in place. `grads` is beside [`Params::arena`].
    pub fn step(&mut self, params: &Params, grads: &Tensor, lr: f64) -> Result<()> {
        self.prepare(lr)?;
        self.update(params, grads)?;
        self.advance();
        Ok(())
    }

    /// Updates a range of an arena; parameter groups are several ranges with an optimiser each, or
    /// one that [`Optimizer::advance`]s after all.
    pub fn step_range(&mut self, arena: &Tensor, grads: &Tensor, lr: f64, range: std::ops::Range<usize>) -> Result<()> {
        self.prepare(lr)?;
        self.update_range(arena, grads, range)
    }

    /// Puts the scalars of the next step on the device: learning rate, bias corrections. The three
    /// parts of [`Optimizer::step`] are for a step that is recorded ([`super::Step`]): `update` is what
    /// can be, `prepare` comes before it and `advance` after it.
    pub fn prepare(&self, lr: f64) -> Result<()> {
        let mut mu = self.mu;
        self.step.overwrite(&self.config.values(lr, self.t + 1, &mut mu))
    }

    /// The launch of [`Optimizer::step`], with the scalars that were prepared.
    pub fn update(&self, params: &Params, grads: &Tensor) -> Result<()> {
        self.update_range(params.arena(), grads, 0..params.numel())
    }

    fn update_range(&self, arena: &Tensor, grads: &Tensor, range: std::ops::Range<usize>) -> Result<()> {
        if grads.shape() != arena.shape() || !grads.is_contiguous() || self.constants.n as usize != arena.numel() {
            return Err(Error::Shape {
                op: "step",
                expected: format!("gradients {:?} beside the parameters", arena.shape()),
                found: format!("{:?}", grads.shape()),
            });
        }
        let params = OptimParams {
            n: range.len() as u32,
            g_at: (grads.offset() + range.start) as u32,
            w_at: (arena.offset() + range.start) as u32,
            state_at: range.start as u32,
            ..self.constants
        };
        let mut buffers = vec![grads.storage(), self.step.storage(), arena.storage()];
        buffers.extend(self.state.iter().map(Tensor::storage));
        arena.device().launch(self.kernel, &params, &buffers, [range.len() as u32, 1, 1])
    }

    /// Counts a step whose ranges were all updated.
    pub fn advance(&mut self) {
        self.t += 1;
        let mut mu = self.mu;
        self.config.values(0.0, self.t, &mut mu);
        self.mu = mu;
    }

    /// Steps taken.
    pub fn steps(&self) -> u64 {
        self.t
    }

    /// State arenas in the order of the kernel's buffers.
    pub fn export(&self) -> Result<Vec<Vec<f32>>> {
        self.state.iter().map(Tensor::to_vec).collect()
    }

    /// Puts back what [`Optimizer::export`] gave after `t` steps.
    pub fn import(&mut self, state: &[Vec<f32>], t: u64) -> Result<()> {
        if state.len() != self.state.len() {
            let what = format!("{} state arenas, the optimiser has {}", state.len(), self.state.len());
            return Err(Error::Argument { op: "import", what });
        }
        for (tensor, values) in self.state.iter().zip(state) {
            tensor.overwrite(values)?;
        }
        (self.t, self.mu) = (0, 1.0);
        while self.t < t && matches!(self.config, OptimizerConfig::NAdam { .. }) {
            self.advance();
        }
        self.t = t;
        Ok(())
    }
}

/// Scales gradients in place of new tensors so that their global length is at most `max_norm`
/// (coefficient `max_norm / (norm + 1e-6)`, at most 1); returns the scaled gradients and the length.
pub fn clip_grad_norm(grads: &[Tensor], max_norm: f32) -> Result<(Vec<Tensor>, Tensor)> {
    let device = match grads.first() {
        Some(first) => first.device().clone(),
        None => return Err(Error::Argument { op: "clip_grad_norm", what: "no gradients".into() }),
    };
    let mut total = Tensor::scalar(0.0, &device)?;
    for g in grads {
        total = total.add(&g.square()?.sum_all()?)?;
    }
    let norm = total.sqrt()?;
    let coefficient = Tensor::scalar(max_norm, &device)?.div(&norm.add_scalar(1e-6)?)?.clamp(0.0, 1.0)?;
    Ok((grads.iter().map(|g| g.mul(&coefficient)).collect::<Result<_>>()?, norm))
}

/// Moves an average of parameters, in place: `average <- decay average + (1 - decay) params`. Both
/// are whole contiguous arenas.
pub fn ema(average: &Tensor, params: &Tensor, decay: f64) -> Result<()> {
    params.expect_shape("ema", average.shape())?;
    let n = average.numel();
    let step = Tensor::scalar((1.0 - decay) as f32, average.device())?;
    let constants = OptimParams {
        n: n as u32,
        g_at: params.offset() as u32,
        w_at: average.offset() as u32,
        ..OptimParams::default()
    };
    average.device().launch(&EMA, &constants, &[params.storage(), step.storage(), average.storage()], [n as u32, 1, 1])
}
