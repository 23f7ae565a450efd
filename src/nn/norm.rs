//! Batch, layer and spectral normalisation.

use super::layers::Mode;
use super::{Builder, Id, Init, Params};
use crate::error::{Error, Result};
use crate::tensor::op::batch_norm_with_running;
use crate::tensor::{Tensor, no_grad};
use std::cell::RefCell;

/// What running statistics are called beside a layer's parameters.
const MEAN: &str = "running_mean";
const VAR: &str = "running_var";

/// Mean and variance that batch normalisation uses outside training, per feature.
#[derive(Clone, Debug)]
pub struct Running {
    /// `[features]`
    pub mean: Tensor,
    /// `[features]`, unbiased
    pub var: Tensor,
}

/// Batch normalisation of `[rows, features]` (Ioffe & Szegedy 2015).
///
/// Training normalises by the batch's mean and biased variance and moves the running statistics by
/// `running <- (1 - momentum) running + momentum batch` (variance unbiased); evaluation uses the
/// running statistics and changes nothing.
pub struct BatchNorm {
    w: Id,
    b: Id,
    eps: f32,
    momentum: f32,
    features: usize,
    name: String,
    running: RefCell<Option<Running>>,
}

impl BatchNorm {
    /// Scale 1, shift 0; running mean 0, variance 1.
    pub fn new(builder: &mut Builder, name: &str, features: usize, eps: f32, momentum: f32) -> Self {
        BatchNorm {
            w: builder.add(format!("{name}.weight"), &[features], Init::Constant(1.0)),
            b: builder.add(format!("{name}.bias"), &[features], Init::Constant(0.0)),
            eps,
            momentum,
            features,
            name: name.into(),
            running: RefCell::new(None),
        }
    }

    /// Its name in the model.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The running statistics (on the parameters' device).
    pub fn running(&self, p: &Params) -> Result<Running> {
        if let Some(running) = &*self.running.borrow() {
            return Ok(running.clone());
        }
        let device = p.arena().device();
        let fresh =
            Running { mean: Tensor::zeros(&[self.features], device)?, var: Tensor::ones(&[self.features], device)? };
        *self.running.borrow_mut() = Some(fresh.clone());
        Ok(fresh)
    }

    /// Puts running statistics back, as after loading a model.
    pub fn set_running(&self, running: Running) {
        *self.running.borrow_mut() = Some(running);
    }

    /// Name, shape and values of the running statistics.
    pub fn export(&self, p: &Params) -> Result<[(String, Vec<usize>, Vec<f32>); 2]> {
        let running = self.running(p)?;
        let one = |part: &str, t: &Tensor| Ok::<_, Error>((self.part(part), t.shape().to_vec(), t.to_vec()?));
        Ok([one(MEAN, &running.mean)?, one(VAR, &running.var)?])
    }

    /// Overwrites the running statistics by name, in place: recorded steps go on reading the same memory.
    ///
    /// # Errors
    /// `Error::Argument` naming what is missing.
    pub fn import<'a>(&self, p: &Params, find: impl Fn(&str) -> Option<(&'a [usize], &'a [f32])>) -> Result<()> {
        let running = self.running(p)?;
        for (part, tensor) in [(MEAN, &running.mean), (VAR, &running.var)] {
            let name = self.part(part);
            let missing = || Error::Argument { op: "import", what: format!("{name} is missing") };
            tensor.overwrite(find(&name).ok_or_else(missing)?.1)?;
        }
        Ok(())
    }

    fn part(&self, part: &str) -> String {
        format!("{}.{part}", self.name)
    }

    /// x `[rows, features]`, same shape out.
    pub fn forward(&self, p: &Params, x: &Tensor, mode: &Mode) -> Result<Tensor> {
        let (w, b) = (p.get(self.w), p.get(self.b));
        if mode.is_train() && !mode.moves_statistics() {
            return x.batch_norm(w, b, self.eps);
        }
        let running = self.running(p)?;
        if mode.is_train() {
            return batch_norm_with_running(x, w, b, self.eps, &running.mean, &running.var, self.momentum);
        }
        let scale = w.mul(&running.var.add_scalar(self.eps)?.rsqrt()?)?;
        let shift = b.sub(&running.mean.mul(&scale)?)?;
        x.mul(&scale)?.add(&shift)
    }
}

/// Layer normalisation over the last axis (Ba et al. 2016).
#[derive(Clone, Copy, Debug)]
pub struct LayerNorm {
    w: Id,
    b: Id,
    eps: f32,
}

impl LayerNorm {
    /// Scale 1, shift 0, eps 1e-5.
    pub fn new(builder: &mut Builder, name: &str, features: usize) -> Self {
        LayerNorm {
            w: builder.add(format!("{name}.weight"), &[features], Init::Constant(1.0)),
            b: builder.add(format!("{name}.bias"), &[features], Init::Constant(0.0)),
            eps: 1e-5,
        }
    }

    /// x `[.., features]`, same shape out.
    pub fn forward(&self, p: &Params, x: &Tensor) -> Result<Tensor> {
        x.layer_norm(p.get(self.w), p.get(self.b), self.eps)
    }
}

/// A weight divided by an estimate of its largest singular value (Miyato et al. 2018).
pub struct SpectralNorm {
    /// Left vector `[rows, 1]`, kept from step to step.
    u: RefCell<Tensor>,
    iterations: usize,
}

impl SpectralNorm {
    /// For a weight of `rows` rows; `u` starts as the unit vector along `start`.
    pub fn new(start: &Tensor, iterations: usize) -> Result<Self> {
        let u = start.reshape(&[start.numel(), 1])?;
        Ok(SpectralNorm { u: RefCell::new(normalise(&u)?), iterations })
    }

    /// `w / σ(w)`, w `[rows, cols]`; in training the power iteration advances first. The vectors
    /// count as constants in the gradient.
    pub fn forward(&self, w: &Tensor, mode: &Mode) -> Result<Tensor> {
        let (u, v) = no_grad(|| {
            let mut u = self.u.borrow().clone();
            let mut v = normalise(&w.t()?.matmul(&u)?)?;
            if mode.is_train() {
                for _ in 0..self.iterations {
                    u = normalise(&w.matmul(&v)?)?;
                    v = normalise(&w.t()?.matmul(&u)?)?;
                }
                *self.u.borrow_mut() = u.clone();
            }
            Ok::<_, crate::Error>((u, v))
        })?;
        let sigma = u.t()?.matmul(&w.matmul(&v)?)?.reshape(&[])?;
        w.div(&sigma)
    }

    /// The left vector `[rows, 1]`.
    pub fn u(&self) -> Tensor {
        self.u.borrow().clone()
    }
}

fn normalise(v: &Tensor) -> Result<Tensor> {
    v.div(&v.square()?.sum_all()?.sqrt()?.add_scalar(1e-12)?)
}
