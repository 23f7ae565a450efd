//! VERA's generator `x = G(h) + sigma eps`, `h ~ N(0, I)`.

use super::config::VeraConfig;
use crate::device::Device;
use crate::error::Result;
use crate::models::ebm::train::Named;
use crate::nn::sampler::normal;
use crate::nn::{BatchNorm, Builder, Id, Init, Linear, Mode, Params};
use crate::rng::Stream;
use crate::tensor::Tensor;
use crate::tensor::op::Activation;

/// `[rows, latent] -> [rows, features]`: linear layers without bias, batch-normalised, softplus; a
/// linear layer last.
pub struct Generator {
    params: Params,
    hidden: Vec<(Id, BatchNorm)>,
    last: Linear,
    log_sigma: Id,
    latent: usize,
}

/// Cells of a generator.
#[derive(Clone)]
pub struct Drawn {
    /// `[rows, features]`, on the tape of the generator's parameters.
    pub x: Tensor,
    /// What they were made of, `[rows, latent]`.
    pub h: Tensor,
}

impl Generator {
    /// What the names of its parts begin with.
    pub const PREFIX: &'static str = "generator.";

    /// With first values from `seed`.
    ///
    /// # Errors
    /// Device errors.
    pub fn new(config: &VeraConfig, features: usize, seed: u64, device: &Device) -> Result<Generator> {
        let mut builder = Builder::new();
        let mut width = config.latent;
        let mut hidden = Vec::new();
        for (i, &units) in config.widths.iter().enumerate() {
            let name = format!("{}layer{i}", Generator::PREFIX);
            let weight = builder.add(format!("{name}.weight"), &[units, width], Init::fan_in(width));
            hidden.push((weight, BatchNorm::new(&mut builder, &format!("{name}.norm"), units, 1e-5, 0.1)));
            width = units;
        }
        let last = Linear::new(&mut builder, &format!("{}last", Generator::PREFIX), width, features);
        let log_sigma =
            builder.add(format!("{}log_sigma", Generator::PREFIX), &[1], Init::Constant(config.sigma.0.ln()));
        // Of its own seed: the network's parameters are drawn from the same stream.
        let params = builder.build(seed ^ OWN_SEED, device)?;
        Ok(Generator { params, hidden, last, log_sigma, latent: config.latent })
    }

    /// G of `h` `[rows, latent]`.
    pub fn mean(&self, h: &Tensor, mode: &Mode) -> Result<Tensor> {
        let mut x = h.clone();
        for (weight, norm) in &self.hidden {
            x = norm.forward(&self.params, &x.matmul(&self.params.get(*weight).t()?)?, mode)?.softplus()?;
        }
        self.last.forward(&self.params, &x, Activation::None)
    }

    /// Standard deviation of the noise, `[1]`.
    pub fn sigma(&self) -> Result<Tensor> {
        self.log_sigma().exp()
    }

    /// Its logarithm, the parameter.
    pub fn log_sigma(&self) -> &Tensor {
        self.params.get(self.log_sigma)
    }

    /// `n` cells; `draws` has the parts 0 and 1 for them.
    pub fn sample(&self, n: usize, draws: Stream, mode: &Mode) -> Result<Drawn> {
        let device = self.params.arena().device();
        let h = normal(draws.part(0), 0.0, 1.0, &[n, self.latent], device)?;
        let mean = self.mean(&h, mode)?;
        let noise = normal(draws.part(1), 0.0, 1.0, mean.shape(), device)?;
        Ok(Drawn { x: mean.add(&noise.mul(&self.sigma()?)?)?, h })
    }

    /// The parameters.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// Holds sigma within its range, in place.
    pub fn clamp_sigma(&self, (least, largest): (f32, f32)) -> Result<()> {
        self.params.clamp(self.log_sigma, least.ln(), largest.ln())
    }

    /// Parameters and running statistics.
    pub fn export(&self) -> Result<Vec<Named>> {
        let mut all = self.params.export()?;
        for (_, norm) in &self.hidden {
            all.extend(norm.export(&self.params)?);
        }
        Ok(all)
    }

    /// Puts back what [`Generator::export`] gave.
    ///
    /// # Errors
    /// `Error::Argument` naming what is missing or has another shape.
    pub fn import(&self, named: &[Named]) -> Result<()> {
        let find = |name: &str| named.iter().find(|(n, ..)| n == name).map(|(_, s, v)| (s.as_slice(), v.as_slice()));
        self.params.import(find)?;
        self.hidden.iter().try_for_each(|(_, norm)| norm.import(&self.params, find))
    }
}

const OWN_SEED: u64 = 0x5645_5241_0000_0000;
